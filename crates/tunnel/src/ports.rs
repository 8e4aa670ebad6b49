//! Where packets and datagrams come from and go to, as the workers see it: a TUN queue and a UDP socket,
//! or something in memory (see [`crate::testing`]).

use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;

use crate::inbox::Inbox;
use crate::outbox::Run;

/// A VPC's device: frames of a vnet header and a packet. Readable as long as its descriptor is.
pub trait Queue: Send + Sync {
    /// What to wait for.
    fn fd(&self) -> RawFd;

    /// Reads one frame to the start of `frame`, which holds 64 KiB; `None` when there is none.
    ///
    /// # Errors
    /// When there will never be one again.
    fn read(&self, frame: &mut [u8]) -> io::Result<Option<usize>>;

    /// Writes one frame.
    ///
    /// # Errors
    /// When it was dropped.
    fn write(&self, frame: &[u8]) -> io::Result<()>;
}

/// A way to other gateways over one address family.
pub trait Socket: Send + Sync {
    /// What to wait for.
    fn fd(&self) -> RawFd;

    /// Its own address.
    fn local(&self) -> SocketAddr;

    /// Sends a run, whose bytes are given.
    fn send(&self, run: &Run, bytes: &[u8]) -> Sent;

    /// Receives what is there, up to a few messages, into an empty inbox.
    ///
    /// # Errors
    /// Those of earlier sends; the next call is fresh.
    fn receive(&self, inbox: &mut Inbox) -> io::Result<Received>;
}

/// What became of a run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Calls of the kernel.
    pub sends: u64,
    /// Datagrams on their way.
    pub datagrams: u64,
    /// Datagrams that were refused.
    pub dropped: u64,
}

/// What came in one call: messages of the kernel's, and the datagrams in them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Messages.
    pub messages: usize,
    /// Datagrams.
    pub datagrams: usize,
}
