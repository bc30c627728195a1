use alloc_tracker::{Allocator, Session};

#[global_allocator]
static ALLOCATOR: Allocator<std::alloc::System> = Allocator::system();

/// What one call takes from the allocator, on the thread that makes it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Allocations {
    pub(crate) count: f64,
    pub(crate) bytes: f64,
}

impl Allocations {
    /// Counts `calls` calls of `batch`.
    pub(crate) fn of(batch: &mut dyn FnMut(u64), calls: u64) -> Self {
        let session = Session::new().no_stdout().no_file();
        let operation = session.operation("calls");
        {
            let _span = operation.measure_thread().iterations(calls);
            batch(calls);
        }
        let report = session.to_report();
        report
            .operations()
            .next()
            .map(|(_, operation)| Self {
                count: operation.allocations().unwrap_or_default(),
                bytes: operation.bytes().unwrap_or_default(),
            })
            .unwrap_or_default()
    }
}
