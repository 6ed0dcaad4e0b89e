//! Probes as the mind asks for them: echoes by a socket for each WAN, TCP knocks by tasks.

use std::net::SocketAddr;
use std::rc::Rc;

use smol::LocalExecutor;

use super::{BUNCH, Manager, Wake};
use crate::sys::probe::{self, EchoSocket};
use crate::tasks::spawn;
use crate::types::{IfIndex, IfName};
use crate::wan::liveness::{Method, Probe};
use crate::wan::settings::Target;

/// TCP probes under way at once: each is a socket, for up to four seconds, and there are 1024 descriptors.
const MAX_KNOCKS: usize = 128;

/// A WAN's socket for echoes, and the task that reads from it.
pub(super) struct Echoes {
    socket: Rc<EchoSocket>,
    name: IfName,
    _reader: smol::Task<()>,
}

impl Manager {
    /// Sends a probe. What cannot be sent will be missed, which is what it means.
    pub(super) fn probe(
        &mut self,
        index: IfIndex,
        probe: Probe,
        target: Target,
        executor: &LocalExecutor<'_>,
    ) {
        let Some(name) = self.mind.wans().iter().find(|w| w.index == index).map(|w| w.name.clone()) else {
            return;
        };
        match probe.method {
            Method::Icmp => {
                let v4 = target.address.is_ipv4();
                let usable = self.echoes_of(index).is_some_and(|e| e.name == name && e.socket.is_v4() == v4);
                if !usable {
                    match self.open_echoes(index, &name, v4, executor) {
                        Ok(echoes) => {
                            self.echoes.retain(|(known, _)| *known != index);
                            self.echoes.push((index, echoes));
                        }
                        Err(e) => {
                            log::warn!("{name}: cannot open a socket for probes (CAP_NET_RAW?): {e}");
                            return;
                        }
                    }
                }
                let Some(echoes) = self.echoes_of(index) else { return };
                if let Err(e) = echoes.socket.send(target.address, probe.seq) {
                    log::debug!("{name}: cannot ask {}: {e}", target.address);
                }
            }
            Method::Tcp => {
                if self.knocks.get() >= MAX_KNOCKS {
                    return;
                }
                let (sender, knocks) = (self.sender.clone(), Rc::clone(&self.knocks));
                knocks.set(knocks.get() + 1);
                let address = SocketAddr::new(target.address, target.port);
                let knocking = async move {
                    match probe::knock(&name, address).await {
                        Ok(true) => drop(sender.send(Wake::Answer { index, seq: probe.seq }).await),
                        Ok(false) => {}
                        Err(e) => log::debug!("{name}: cannot knock at {address}: {e}"),
                    }
                    knocks.set(knocks.get() - 1);
                };
                spawn(executor, knocking).detach();
            }
        }
    }

    fn echoes_of(&self, index: IfIndex) -> Option<&Echoes> {
        self.echoes.iter().find(|(known, _)| *known == index).map(|(_, echoes)| echoes)
    }

    fn open_echoes(
        &mut self,
        index: IfIndex,
        name: &IfName,
        v4: bool,
        executor: &LocalExecutor<'_>,
    ) -> std::io::Result<Echoes> {
        self.next_echo_id = self.next_echo_id.wrapping_add(1);
        let socket = Rc::new(EchoSocket::open(name, v4, self.next_echo_id)?);
        let (reading, sender) = (Rc::clone(&socket), self.sender.clone());
        let reader = spawn(executor, async move {
            loop {
                match reading.receive().await {
                    Ok(seq) if sender.send(Wake::Answer { index, seq }).await.is_err() => return,
                    Ok(_) => {}
                    // A device that goes down leaves ENETDOWN behind, once.
                    Err(e) => {
                        log::debug!("if{}: {e}", index.0);
                        smol::Timer::after(BUNCH).await;
                    }
                }
            }
        });
        Ok(Echoes { socket, name: name.clone(), _reader: reader })
    }
}
