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

/// What one piece of work took from the allocator, on the thread that did it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Heap {
    /// Allocations.
    pub count: f64,
    /// Bytes that were asked for.
    pub bytes: f64,
    /// The most bytes that it held at once beyond those that were there before.
    pub peak: f64,
}

impl Heap {
    /// Does `work` and counts.
    pub fn of<T>(work: impl FnOnce() -> T) -> (Self, T) {
        let session = Session::new().no_stdout().no_file();
        let operation = session.operation("work");
        let done = {
            let _span = operation.measure_thread().iterations(1);
            work()
        };
        let report = session.to_report();
        let heap = report.operations().next().map(|(_, operation)| Self {
            count: operation.allocations().unwrap_or_default(),
            bytes: operation.bytes().unwrap_or_default(),
            peak: operation.peak_outstanding_bytes().unwrap_or_default(),
        });
        (heap.unwrap_or_default(), done)
    }
}
