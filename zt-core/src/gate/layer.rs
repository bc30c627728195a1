use std::{fmt, marker::PhantomData, sync::Arc};

use tower_layer::Layer;

use super::{Gate, Keep, Opened, Settings, service::Shared};

/// A chain as a tower layer.
///
/// Layers of zt are checks that implement [`Layer`] by [`impl_layer!`](crate::impl_layer); this is
/// for chains of several, and for checks with settings of their own.
pub struct GateLayer<C, M = Keep> {
    shared: Arc<Shared<C>>,
    mode: PhantomData<fn() -> M>,
}

impl<C> GateLayer<C> {
    /// A gate over `chain`, with `settings`.
    pub fn new(chain: C, settings: Arc<Settings>) -> Self {
        Self::with_mode(chain, settings)
    }
}

impl<C, M> GateLayer<C, M> {
    /// A gate over `chain`, with `settings`, that hands on the body of mode `M`.
    pub fn with_mode(chain: C, settings: Arc<Settings>) -> Self {
        Self {
            shared: Arc::new(Shared {
                chain,
                settings,
                is_stack: false,
            }),
            mode: PhantomData,
        }
    }

    /// The one gate of a whole stack: it refuses inside a context that another gate has opened.
    pub(crate) fn stack(chain: C, settings: Arc<Settings>) -> Self {
        Self {
            shared: Arc::new(Shared {
                chain,
                settings,
                is_stack: true,
            }),
            mode: PhantomData,
        }
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.shared.settings
    }
}

impl<C, M> Clone for GateLayer<C, M> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            mode: PhantomData,
        }
    }
}

impl<C, M> fmt::Debug for GateLayer<C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateLayer")
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

impl<S, C, M> Layer<S> for GateLayer<C, M> {
    type Service = Gate<S, C, M>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::from_shared(inner, Arc::clone(&self.shared))
    }
}

/// Opens the context of a stack made by hand, with settings for all its layers; outermost.
#[derive(Debug, Clone)]
pub struct OpenContextLayer(Arc<Settings>);

impl OpenContextLayer {
    /// The layers inside use `settings`.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(settings))
    }
}

impl<S> Layer<S> for OpenContextLayer {
    type Service = Gate<S, Opened>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::with_settings(inner, Opened, Arc::clone(&self.0))
    }
}

/// Implements [`tower_layer::Layer`] for a type that is a [`Check`](crate::gate::Check): a gate
/// over that one check, with the default settings unless a layer further out brings others.
#[macro_export]
macro_rules! impl_layer {
    ([$($generic:ident),*] $check:ty $(where $($bound:tt)*)?) => {
        impl<S $(, $generic)*> $crate::tower_layer::Layer<S> for $check $(where $($bound)*)? {
            type Service = $crate::gate::Gate<S, $crate::gate::Link<$crate::gate::Root, Self>>;

            fn layer(&self, inner: S) -> Self::Service {
                $crate::gate::Gate::new(
                    inner,
                    $crate::gate::Link::new($crate::gate::Root, ::core::clone::Clone::clone(self)),
                )
            }
        }
    };
    ($check:ty) => {
        $crate::impl_layer!([] $check);
    };
}
