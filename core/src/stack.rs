//! A backend under its layers, checked when it is built.

use std::any::Any;
use std::fmt::Write as _;

use crate::{Backend, Capabilities, DynBackend, Error, ErrorKind, Layer, Result, Slot, Validate};

/// A backend under its layers.
///
/// ```
/// use craftx_core::{Memory, Stack};
/// use std::sync::Arc;
/// let stack = Stack::builder("memory", Arc::new(Memory::new())).build()?;
/// // Every stack validates; say `.layer(Validate::new(limits))` for other limits.
/// assert!(stack.describe().starts_with("validate\nmemory"));
/// # Ok::<(), craftx_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stack {
    top: DynBackend,
    /// Outermost first; `inner` is what the layer wraps.
    layers: Vec<Level>,
    scheme: String,
    base: DynBackend,
}

#[derive(Clone, Debug)]
struct Level {
    name: &'static str,
    slot: Slot,
    inner: DynBackend,
    removed: Vec<&'static str>,
}

/// Collects the layers of a [`Stack`], outermost first.
#[derive(Debug)]
pub struct StackBuilder {
    scheme: String,
    base: DynBackend,
    layers: Vec<Box<dyn Layer>>,
}

impl Stack {
    /// Begins a stack over `base`. `scheme` names the backend in descriptions.
    pub fn builder(scheme: impl Into<String>, base: DynBackend) -> StackBuilder {
        StackBuilder { scheme: scheme.into(), base, layers: Vec::new() }
    }

    /// The outermost backend: what applications call.
    pub fn backend(&self) -> &DynBackend {
        &self.top
    }

    /// The backend below the innermost layer in `slot`, for administration that must see what that layer hides, such
    /// as a backup of ciphertext. `None` if no layer is there.
    pub fn below(&self, slot: Slot) -> Option<&DynBackend> {
        self.layers.iter().rev().find(|level| level.slot == slot).map(|level| &level.inner)
    }

    /// The backend below all layers, if it is of this type, for what only that type can do.
    ///
    /// ```
    /// use craftx_core::{Memory, Stack};
    /// use std::sync::Arc;
    /// let stack = Stack::builder("memory", Arc::new(Memory::new())).build()?;
    /// assert!(stack.base::<Memory>().is_some());
    /// # Ok::<(), craftx_core::Error>(())
    /// ```
    pub fn base<B: Backend>(&self) -> Option<&B> {
        let base: &dyn Any = &*self.base;
        base.downcast_ref()
    }

    /// The outermost backend of this type in the stack, whether a layer made it or it lies below all of them, for what
    /// only that type can do.
    ///
    /// ```
    /// use craftx_core::{Memory, Stack};
    /// use std::sync::Arc;
    /// let stack = Stack::builder("memory", Arc::new(Memory::new())).build()?;
    /// assert!(stack.find::<Memory>().is_some());
    /// # Ok::<(), craftx_core::Error>(())
    /// ```
    pub fn find<B: Backend>(&self) -> Option<&B> {
        std::iter::once(&self.top).chain(self.layers.iter().map(|level| &level.inner)).find_map(|backend| {
            let backend: &dyn Any = &**backend;
            backend.downcast_ref()
        })
    }

    /// What the stack can do, as far as is known before it is prepared.
    pub fn capabilities(&self) -> Capabilities {
        self.top.capabilities()
    }

    /// The stack in words, one layer a line, outermost first.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for level in &self.layers {
            text.push_str(level.name);
            if !level.removed.is_empty() {
                // Writing to a string cannot fail.
                let _ = write!(text, " (removes {})", level.removed.join(", "));
            }
            text.push('\n');
        }
        let can: Vec<_> =
            self.base.capabilities().named().into_iter().filter(|(_, s)| s.is_yes()).map(|(name, _)| name).collect();
        let _ = write!(text, "{} ({})", self.scheme, can.join(", "));
        text
    }
}

impl StackBuilder {
    /// Adds a layer inside of those added before.
    #[must_use]
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.layers.push(Box::new(layer));
        self
    }

    /// Adds a layer that is chosen at run time.
    #[must_use]
    pub fn boxed_layer(mut self, layer: Box<dyn Layer>) -> Self {
        self.layers.push(layer);
        self
    }

    /// Adds a layer where its slot is.
    pub(crate) fn in_its_place(mut self, layer: Box<dyn Layer>) -> Self {
        let place = self.layers.iter().take_while(|other| other.slot() < layer.slot()).count();
        self.layers.insert(place, layer);
        self
    }

    /// Checks the order and the capabilities and puts the stack together. Does no I/O. A stack without a layer in
    /// [`Slot::Validate`] gets [`Validate::default`].
    ///
    /// # Errors
    /// [`ErrorKind::ConfigInvalid`] naming two layers that stand in the wrong order,
    /// [`ErrorKind::Unsupported`] if a layer needs what is not there.
    pub fn build(mut self) -> Result<Stack> {
        if !self.layers.iter().any(|layer| layer.slot() == Slot::Validate) {
            self = self.in_its_place(Box::new(Validate::default()));
        }
        for pair in self.layers.windows(2) {
            if let [outer, inner] = pair
                && outer.slot() > inner.slot()
            {
                return Err(Error::new(ErrorKind::ConfigInvalid, "these layers stand in the wrong order")
                    .during("build")
                    .with("outer", format!("`{}` ({})", outer.name(), outer.slot().as_str()))
                    .with("inner", format!("`{}` ({})", inner.name(), inner.slot().as_str())));
            }
        }
        let mut top = self.base.clone();
        let mut capabilities = top.capabilities();
        let mut levels = Vec::with_capacity(self.layers.len());
        for layer in self.layers.iter().rev() {
            let inner = top.clone();
            let before = capabilities;
            capabilities = layer
                .capabilities(before)
                .map_err(|error| error.during("build").with("layer", format!("`{}`", layer.name())))?;
            top = layer.apply(inner.clone()).map_err(|error| error.during("build"))?;
            let removed = before
                .named()
                .into_iter()
                .zip(capabilities.named())
                .filter(|((_, had), (_, has))| had.is_yes() && !has.is_yes())
                .map(|((name, _), _)| name)
                .collect();
            levels.push(Level { name: layer.name(), slot: layer.slot(), inner, removed });
        }
        levels.reverse();
        Ok(Stack { top, layers: levels, scheme: self.scheme, base: self.base })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Memory, Support};
    use std::sync::Arc;

    /// A layer that changes nothing but the capabilities.
    #[derive(Debug)]
    struct Pass {
        name: &'static str,
        slot: Slot,
        needs_durable: bool,
    }

    impl Layer for Pass {
        fn name(&self) -> &'static str {
            self.name
        }
        fn slot(&self) -> Slot {
            self.slot
        }
        fn capabilities(&self, inner: Capabilities) -> Result<Capabilities> {
            if self.needs_durable && !inner.durable.is_yes() {
                return Err(Error::unsupported("durable writes", "the store below"));
            }
            Ok(inner.scope(Support::No))
        }
        fn apply(&self, inner: DynBackend) -> Result<DynBackend> {
            Ok(inner)
        }
    }

    fn pass(name: &'static str, slot: Slot) -> Pass {
        Pass { name, slot, needs_durable: false }
    }

    fn builder() -> StackBuilder {
        Stack::builder("memory", Arc::new(Memory::new()))
    }

    #[test]
    fn layers_in_the_wrong_order_are_named() {
        let error = builder().layer(pass("retry", Slot::Retry)).layer(pass("seal", Slot::Encrypt)).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert_eq!((error.get("outer"), error.get("inner")), (Some("`retry` (retry)"), Some("`seal` (encrypt)")));
    }

    #[test]
    fn a_layer_that_needs_what_is_not_there_is_named() {
        let needy = Pass { name: "needy", slot: Slot::Cache, needs_durable: true };
        let error = builder().layer(needy).build().unwrap_err();
        assert_eq!((error.kind(), error.get("layer")), (ErrorKind::Unsupported, Some("`needy`")));
    }

    #[test]
    fn every_stack_validates_in_its_place_and_only_once() {
        let stack = builder().layer(pass("who", Slot::Access)).layer(pass("near", Slot::Cache)).build().unwrap();
        let lines: Vec<_> = stack.describe().lines().map(str::to_owned).collect();
        assert_eq!(lines[0], "who");
        assert_eq!(lines[1], "validate");
        assert_eq!(lines[2], "near (removes scope)");
        assert!(lines[3].starts_with("memory (") && !lines[3].contains("durable"));
        let limits = Limits { max_batch: 7, ..Limits::default() };
        let stack = builder().layer(Validate::new(limits)).build().unwrap();
        assert_eq!((stack.capabilities().max_batch, stack.describe().lines().count()), (Some(7), 2));
    }

    #[test]
    fn the_backend_below_a_layer_can_be_had() {
        let stack = builder().layer(pass("near", Slot::Cache)).build().unwrap();
        assert!(stack.below(Slot::Validate).unwrap().capabilities().max_batch.is_none());
        assert!(stack.below(Slot::Encrypt).is_none());
    }
}
