//! Chapters: what is longer than the documentation of an item. They are also pages of the book in `docs/`.

#[doc = include_str!("../docs/design.md")]
pub mod design {}

#[doc = include_str!("../docs/comparison.md")]
pub mod comparison {}

#[doc = include_str!("../docs/write-a-backend.md")]
pub mod write_a_backend {}

#[doc = include_str!("../docs/write-a-layer.md")]
pub mod write_a_layer {}
