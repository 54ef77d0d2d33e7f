//! Correlation tokens from the operating system's random source.

use abyssale_core::Token;
use thiserror::Error;

/// Returns a token of 128 random bits.
pub fn random_token() -> Result<Token, NoRandomness> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| NoRandomness(error.to_string()))?;
    Ok(Token::from_random(bytes))
}

/// The operating system returned no random numbers.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("the operating system gives no random numbers: {0}")]
pub struct NoRandomness(String);
