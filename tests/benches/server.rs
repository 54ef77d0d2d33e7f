//! An object store that is as fast as it can be: one archive of the size that is asked for, of one entry of zeros, which
//! is never in memory as a whole. It listens on loopback, answers ranges with 200, and ends with its parent.

use std::{
    env,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
};

/// The server in a process of its own.
pub(crate) struct Server {
    pub(crate) address: String,
    child: Child,
    /// Kept open: a server whose output is closed has nobody left to serve.
    _output: BufReader<ChildStdout>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The argument that makes this program the server.
pub(crate) const NAME: &str = "server";

pub(crate) fn start(bytes: u64) -> Server {
    let mut child = Command::new(env::current_exe().unwrap())
        .args([NAME, &bytes.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut address = String::new();
    output.read_line(&mut address).unwrap();
    Server { address: address.trim().to_owned(), child, _output: output }
}

pub(crate) fn run(bytes: &str) {
    let bytes = bytes.parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    // The parent holds the other end of the standard input, whatever becomes of it.
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    for connection in listener.incoming().flatten() {
        thread::spawn(move || {
            // Who hangs up has had enough.
            let _ = serve(connection, bytes);
        });
    }
}

fn serve(mut connection: TcpStream, bytes: u64) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut head = [0; 4096];
    let mut len = 0;
    while !head[..len].ends_with(b"\r\n\r\n") {
        match connection.read(&mut head[len..])? {
            0 => return Ok(()),
            read => len += read,
        }
    }
    let [before, after] = ends(bytes);
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\nETag: \"bench\"\r\nConnection: close\r\n\r\n");
    connection.write_all(&[head.as_bytes(), &before].concat())?;
    let zeros = vec![0; 256 << 10];
    let mut left = bytes - (before.len() + after.len()) as u64;
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
        connection.write_all(&zeros[..piece])?;
        left -= piece as u64;
    }
    connection.write_all(&after)
}

/// What stands before the zeros and behind them: the headers of one stored entry. Its checksum is not theirs, which
/// nobody looks at before it is unpacked.
fn ends(bytes: u64) -> [Vec<u8>; 2] {
    let zeros = u32::try_from(bytes - (30 + 1 + 46 + 1 + 22)).unwrap().to_le_bytes();
    let about = [&b"\x14\0\0\0\0\0\0\0\x21\0\0\0\0\0"[..], &zeros, &zeros, b"\x01\0\0\0"].concat();
    let local = [b"PK\x03\x04", &about[..], b"a"].concat();
    let entry = [&b"PK\x01\x02\x14\0"[..], &about, &[0; 14], b"a"].concat();
    let at = u32::try_from(bytes - 22 - entry.len() as u64).unwrap().to_le_bytes();
    let size = u32::try_from(entry.len()).unwrap().to_le_bytes();
    let end = [&b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..], &size, &at, b"\0\0"].concat();
    [local, [entry, end].concat()]
}
