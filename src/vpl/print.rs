//! Syntax to text.
