//! The containers of a repr, parsed without recursion.
//!
//! Open containers are on a stack, one byte each. Two cases are ambiguous: a brace begins a dict or a set, which only the
//! token behind its first item tells; and a key may be a tuple, whose spelling is then the key. In both cases the item is
//! read like any other, and taken back if a colon follows. Looking ahead would read nested items once per level.

use alloc::vec::Vec;

use super::{
    Root,
    lexer::{Callee, Lexer, ReprToken},
};
use crate::validation::{
    arena::{Builder, Mark, narrow},
    bounds::Stop,
    text::Text,
};

/// Parses a repr to the end of the text. What was parsed before an error is in `out`.
pub(super) fn read(repr: &str, root: Root, out: &mut Builder<'_>) -> Result<(), Stop> {
    let lexer = Lexer::new(repr);
    let mut reader = Reader {
        lexer,
        root,
        out,
        open: Vec::new(),
        items: Vec::new(),
        sets: Vec::new(),
        members: Vec::new(),
    };
    let end = reader.run();
    // An item that might have become a key is not a problem.
    if let Some(undecided) = reader.items.first() {
        reader.out.back_to(undecided.mark);
    }
    end?;
    if reader.lexer.peek().is_none() { Ok(()) } else { Err(Stop::Broken) }
}

struct Reader<'a, 'o, 'l> {
    lexer: Lexer<'a>,
    root: Root,
    out: &'o mut Builder<'l>,
    open: Vec<Frame>,
    /// The items that may have to be taken back, one for each open [`Frame::Brace`], [`Frame::Key`] and
    /// [`Frame::PairKey`].
    items: Vec<Undecided>,
    /// The index in `members` where each open set begins.
    sets: Vec<u32>,
    members: Vec<Member>,
}

/// An open container, and the current item in it. It takes one byte, because a peer determines how many there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Frame {
    List,
    /// A tuple with one item and no comma yet.
    TupleOfOne,
    Tuple,
    /// The first item between braces, while it is unknown whether they are a dict's or a set's.
    Brace,
    Set,
    /// A value of a dict.
    Value,
    /// A key of a dict, if it is a container.
    Key,
    /// The dict between the parentheses of `defaultdict(…)` or `OrderedDict(…)`.
    DictCall,
    /// The set between the parentheses of `frozenset(…)`.
    SetCall,
    /// The value of a pair in `OrderedDict([…])`, as it was printed before Python 3.12.
    PairValue,
    /// A key of a pair, if it is a container.
    PairKey,
}

/// The beginning of an item, and what was stored before it.
#[derive(Clone, Copy)]
struct Undecided {
    start: u32,
    mark: Mark,
}

/// A member of a set: its range in the text, and its range of problems.
#[derive(Clone, Copy)]
struct Member {
    spelling: (u32, u32),
    problems: (u32, u32),
}

/// What follows a token, or the end of a container.
enum Next {
    /// Another value.
    Value,
    /// The value is complete. Continue in the container around it.
    Done,
}

impl Reader<'_, '_, '_> {
    fn run(&mut self) -> Result<(), Stop> {
        loop {
            let mut next = self.value()?;
            while matches!(next, Next::Done) {
                let Some(&frame) = self.open.last() else { return Ok(()) };
                next = self.after_value_in(frame)?;
            }
        }
    }

    /// Reads a value, or the beginning of one.
    fn value(&mut self) -> Result<Next, Stop> {
        let token = self.lexer.token()?;
        if matches!(self.open.last(), Some(Frame::DictCall | Frame::SetCall))
            && !matches!(token, ReprToken::Open(b'{'))
        {
            return Err(Stop::Broken);
        }
        match token {
            // In a text that was cut off, there may have been more digits.
            ReprToken::Int(_) | ReprToken::Spelled(_) if self.lexer.is_at_end() && !self.open.is_empty() => {
                Err(Stop::Broken)
            }
            ReprToken::Open(b'{') => self.brace(),
            ReprToken::Open(b'[') => self.bracket(Frame::List, b']'),
            ReprToken::Open(_) => self.bracket(Frame::TupleOfOne, b')'),
            ReprToken::Call(callee) => self.call(callee),
            ReprToken::Str(_) | ReprToken::Int(_) | ReprToken::Renamed(_) | ReprToken::Spelled(_) => {
                self.out.problem(token.message().ok_or(Stop::Broken)?)?;
                Ok(Next::Done)
            }
        }
    }

    fn bracket(&mut self, frame: Frame, close: u8) -> Result<Next, Stop> {
        if self.lexer.take(close) {
            return Ok(Next::Done);
        }
        self.push(frame)?;
        Ok(Next::Value)
    }

    fn brace(&mut self) -> Result<Next, Stop> {
        if self.lexer.take(b'}') {
            return Ok(Next::Done);
        }
        // Almost always a dict with a simple key, which never has to be taken back.
        self.lexer.peek();
        let before = self.lexer.clone();
        if let Some((key, is_index)) = self.lexer.token()?.key()
            && self.lexer.take(b':')
        {
            self.push_dict()?;
            self.out.enter(key, is_index)?;
            return Ok(Next::Value);
        }
        self.lexer = before;
        self.push_item(Frame::Brace)?;
        Ok(Next::Value)
    }

    fn call(&mut self, callee: Callee) -> Result<Next, Stop> {
        match callee {
            Callee::Set => {
                // A set with members is printed in braces.
                self.lexer.expect(b')')?;
                return Ok(Next::Done);
            }
            Callee::Frozenset | Callee::OrderedDict if self.lexer.take(b')') => return Ok(Next::Done),
            Callee::Frozenset => self.push(Frame::SetCall)?,
            Callee::Defaultdict => {
                self.lexer.factory()?;
                self.lexer.expect(b',')?;
                self.push(Frame::DictCall)?;
            }
            Callee::OrderedDict => {
                self.push(Frame::DictCall)?;
                if self.lexer.take(b'[') {
                    self.push(Frame::PairValue)?;
                    return self.pair();
                }
            }
        }
        Ok(Next::Value)
    }

    /// Continues after a value, in the container around it.
    fn after_value_in(&mut self, frame: Frame) -> Result<Next, Stop> {
        match frame {
            Frame::List => self.comma_or(b']'),
            Frame::Tuple => self.comma_or(b')'),
            Frame::TupleOfOne => {
                if self.lexer.peek() != Some(b',') {
                    return Err(Stop::Broken);
                }
                self.open.pop();
                self.push(Frame::Tuple)?;
                self.comma_or(b')')
            }
            Frame::Brace => {
                let next = self.lexer.peek().ok_or(Stop::Broken)?;
                let item = self.items.pop().ok_or(Stop::Broken)?;
                self.open.pop();
                if next == b':' {
                    self.push_dict()?;
                    self.take_back_as_key(item, b':')?;
                    return Ok(Next::Value);
                }
                self.push_set(item)?;
                self.after_member()
            }
            Frame::Set => self.after_member(),
            Frame::Value => {
                self.out.leave();
                match self.comma_or(b'}')? {
                    Next::Value => self.key(b':', Frame::Key),
                    Next::Done => Ok(Next::Done),
                }
            }
            Frame::PairValue => {
                self.out.leave();
                self.lexer.take(b',');
                self.lexer.expect(b')')?;
                match self.comma_or(b']')? {
                    Next::Value => self.pair(),
                    Next::Done => Ok(Next::Done),
                }
            }
            Frame::Key | Frame::PairKey => {
                let separator = if frame == Frame::Key { b':' } else { b',' };
                if self.lexer.peek() != Some(separator) {
                    return Err(Stop::Broken);
                }
                let item = self.items.pop().ok_or(Stop::Broken)?;
                self.open.pop();
                self.take_back_as_key(item, separator)?;
                Ok(Next::Value)
            }
            Frame::DictCall | Frame::SetCall => {
                self.lexer.expect(b')')?;
                self.open.pop();
                Ok(Next::Done)
            }
        }
    }

    /// Takes a comma before another value, or the end of the container, perhaps with a comma before it.
    fn comma_or(&mut self, close: u8) -> Result<Next, Stop> {
        if self.lexer.take(b',') {
            if !self.lexer.take(close) {
                return Ok(Next::Value);
            }
        } else {
            self.lexer.expect(close)?;
        }
        self.open.pop();
        Ok(Next::Done)
    }

    /// Takes a key and its separator, or the beginning of a key that is a container.
    fn key(&mut self, separator: u8, container: Frame) -> Result<Next, Stop> {
        self.lexer.peek();
        let before = self.lexer.clone();
        if let Some((key, is_index)) = self.lexer.token()?.key() {
            self.lexer.expect(separator)?;
            self.out.enter(key, is_index)?;
        } else {
            self.lexer = before;
            self.push_item(container)?;
        }
        Ok(Next::Value)
    }

    fn pair(&mut self) -> Result<Next, Stop> {
        self.lexer.expect(b'(')?;
        self.key(b',', Frame::PairKey)
    }

    /// Removes an item's problems, and uses its spelling as a key, as the service's JSON does.
    fn take_back_as_key(&mut self, item: Undecided, separator: u8) -> Result<(), Stop> {
        let spelling = self.lexer.source(item.start as usize, self.lexer.at()).trim_end();
        self.lexer.expect(separator)?;
        self.out.back_to(item.mark);
        self.out.enter(Text::Plain(spelling), false)
    }

    /// Continues after a member of a set.
    fn after_member(&mut self) -> Result<Next, Stop> {
        if let Some(member) = self.members.last_mut() {
            member.spelling.1 = narrow(self.lexer.at());
            member.problems.1 = narrow(self.out.len());
        }
        match self.comma_or(b'}')? {
            Next::Value => {
                self.lexer.peek();
                self.push_member(narrow(self.lexer.at()), narrow(self.out.len()))?;
                Ok(Next::Value)
            }
            Next::Done => {
                self.sort_set()?;
                Ok(Next::Done)
            }
        }
    }

    /// Sorts the problems of a set by the spelling of its members.
    ///
    /// Python prints the members of a set in an order that differs between processes. Sets nested deeper than
    /// [`MAX_SORTED`] are not sorted: otherwise a peer could have the same problems moved once per level.
    fn sort_set(&mut self) -> Result<(), Stop> {
        let level = self.sets.len();
        let Some(members) = self.sets.pop().and_then(|first| self.members.get_mut(first as usize..)) else {
            return Ok(());
        };
        let lexer = &self.lexer;
        let spelling = |member: &Member| lexer.source(member.spelling.0 as usize, member.spelling.1 as usize);
        if level <= MAX_SORTED && !members.is_sorted_by_key(spelling) {
            // The second part of the key keeps equal members in their order.
            members.sort_unstable_by_key(|member| (spelling(member), member.spelling.0));
            self.out.reorder(
                members.iter().map(|member| member.problems.0 as usize..member.problems.1 as usize),
            )?;
        }
        let members = members.len();
        self.members.truncate(self.members.len() - members);
        Ok(())
    }

    fn push_set(&mut self, first: Undecided) -> Result<(), Stop> {
        let is_dict_call = self.open.last() == Some(&Frame::DictCall);
        if is_dict_call || (self.open.is_empty() && self.root == Root::Mapping) {
            self.out.back_to(first.mark);
            return Err(Stop::Broken);
        }
        self.push(Frame::Set)?;
        self.out.budget().room(&mut self.sets)?;
        self.sets.push(narrow(self.members.len()));
        self.push_member(first.start, first.mark.problems())
    }

    fn push_member(&mut self, start: u32, problems: u32) -> Result<(), Stop> {
        self.out.budget().room(&mut self.members)?;
        self.members.push(Member { spelling: (start, start), problems: (problems, problems) });
        Ok(())
    }

    fn push_dict(&mut self) -> Result<(), Stop> {
        if self.open.last() == Some(&Frame::SetCall) {
            return Err(Stop::Broken);
        }
        self.push(Frame::Value)
    }

    fn push_item(&mut self, frame: Frame) -> Result<(), Stop> {
        self.push(frame)?;
        self.out.budget().room(&mut self.items)?;
        self.items.push(Undecided { start: narrow(self.lexer.at()), mark: self.out.mark() });
        Ok(())
    }

    fn push(&mut self, frame: Frame) -> Result<(), Stop> {
        if self.open.len() >= self.out.limits().depth {
            return Err(Stop::Full);
        }
        self.out.budget().room(&mut self.open)?;
        self.open.push(frame);
        Ok(())
    }
}

const MAX_SORTED: usize = 32;
