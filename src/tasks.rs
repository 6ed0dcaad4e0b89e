//! Tasks of an executor.

use std::pin::Pin;

use smol::{LocalExecutor, Task};

/// Starts a task. Boxed, so that the executor's code for tasks exists once and not for each kind: 17 KB on MIPS for the
/// manager's.
pub fn spawn<'a>(executor: &LocalExecutor<'a>, task: impl Future<Output = ()> + 'a) -> Task<()> {
    let task: Pin<Box<dyn Future<Output = ()> + 'a>> = Box::pin(task);
    executor.spawn(task)
}
