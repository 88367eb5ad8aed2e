//! The reference store keeps every promise.

use craftx_conformance::{Subject, conformance};
use craftx_core::Memory;

conformance!(memory, || async { Ok(Subject::new(Memory::new())) });
