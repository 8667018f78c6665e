//! The VPL front end: text to syntax to plan. It knows no thread and no ring.

pub mod diagnostic;
mod lexer;
mod literal;
pub mod parser;
pub mod print;
mod suggest;
pub mod syntax;
