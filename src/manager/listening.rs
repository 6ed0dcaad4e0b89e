//! The tasks that turn what happens into wakes of the loop: notifications, signals, clients.

use std::rc::Rc;

use smol::{LocalExecutor, Task};

use super::{Manager, RETRY, Wake};
use crate::error::Error;
use crate::sys::clock;
use crate::sys::control::ControlSocket;
use crate::sys::kernel::{Changes, SubflowEvents};
use crate::sys::signals::DaemonSignals;
use crate::tasks::spawn;
use crate::wire::mptcp_pm::Event;

impl Manager {
    /// Starts the tasks that turn what happens into wakes.
    pub(super) fn listen(
        &self,
        executor: &LocalExecutor<'_>,
        signals: DaemonSignals,
        control: ControlSocket,
    ) -> Result<Vec<Task<()>>, Error> {
        let mut tasks = Vec::new();
        let mut changes = Changes::open().map_err(|e| Error::new("listen to", "rtnetlink", e))?;
        let (sender, stale) = (self.sender.clone(), Rc::clone(&self.stale));
        tasks.push(spawn(executor, async move {
            loop {
                let wake = match changes.next().await {
                    // One reading answers for all changes before it.
                    Ok(()) if stale.replace(true) => continue,
                    Ok(()) => Wake::KernelChanged,
                    Err(e) => Wake::Broken(Error::new("listen to", "rtnetlink", e)),
                };
                if sender.send(wake).await.is_err() {
                    return;
                }
            }
        }));
        // Failed subflows are a hint that probes give too, only later; managing goes on without.
        match SubflowEvents::open(&self.kernel) {
            Ok(Some(mut events)) if self.kind.endpoints => {
                let (sender, subflows) = (self.sender.clone(), Rc::clone(&self.mptcp.subflows));
                tasks.push(spawn(executor, async move {
                    loop {
                        let mut failed = None;
                        let mut hear = |event: Option<&Event>| match event {
                            Some(event) => {
                                let was_refused = subflows.borrow_mut().hear(event, clock::now());
                                if let Event::Ended { subflow, error: 1.. } = event
                                    && !was_refused
                                {
                                    failed = Some(subflow.source);
                                }
                            }
                            None => subflows.borrow_mut().forget(),
                        };
                        // A socket that breaks is not needed.
                        if events.hear(&mut hear).await.is_err() {
                            return;
                        }
                        if let Some(failed) = failed
                            && sender.send(Wake::SubflowFailed(failed)).await.is_err()
                        {
                            return;
                        }
                    }
                }));
            }
            Ok(_) => {}
            Err(e) => log::warn!("cannot listen to MPTCP's events: {e}"),
        }
        let sender = self.sender.clone();
        tasks.push(spawn(executor, async move {
            while let Ok(asked) = signals.next().await {
                if sender.send(Wake::Signal(asked)).await.is_err() {
                    return;
                }
            }
        }));
        let sender = self.sender.clone();
        tasks.push(spawn(executor, async move {
            loop {
                match control.accept().await {
                    Ok(Some(client)) => {
                        if sender.send(Wake::Client(client)).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => {}
                    Err(e) => {
                        log::warn!("cannot accept a client: {e}");
                        smol::Timer::after(RETRY).await;
                    }
                }
            }
        }));
        Ok(tasks)
    }
}
