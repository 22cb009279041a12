//! What nodes receive from each other, counted as a request/reply transport and as one-way
//! messages count.

use core::ops::Sub;

use quorate::replica::Frame;
use quorate_core::Message;

/// Messages that arrived at running nodes.
///
/// Over a transport of requests and replies a reply rides in the answer to its request: the number
/// of calls is that of the requests. Over one of single messages every message counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages that ask, among them the notices.
    pub requests: u64,
    /// Those that want no reply: notices of a commit index.
    pub notices: u64,
    /// Messages that answer.
    pub replies: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl Traffic {
    /// Messages of both sorts.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.requests + self.replies
    }

    pub(crate) fn received(&mut self, frame: &Frame, bytes: usize) {
        self.bytes += bytes as u64;
        if is_reply(frame) {
            self.replies += 1;
        } else {
            self.requests += 1;
            self.notices += u64::from(is_notice(frame));
        }
    }
}

/// What came since an earlier count.
impl Sub for Traffic {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            requests: self.requests - earlier.requests,
            notices: self.notices - earlier.notices,
            replies: self.replies - earlier.replies,
            bytes: self.bytes - earlier.bytes,
        }
    }
}

impl core::fmt::Display for Traffic {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "{} requests ({} of them notices), {} one-way messages, {} bytes",
            self.requests,
            self.notices,
            self.messages(),
            self.bytes
        )
    }
}

/// Whether a frame answers another.
pub(crate) fn is_reply(frame: &Frame) -> bool {
    match frame {
        Frame::Raft(letter) => letter.envelope.message.is_reply(),
        Frame::Forward(_) | Frame::Chunk(_) => false,
        Frame::ForwardReply(_) => true,
    }
}

fn is_notice(frame: &Frame) -> bool {
    match frame {
        Frame::Raft(letter) => match &letter.envelope.message {
            Message::Append(append) => !append.wants_reply,
            _ => false,
        },
        Frame::Forward(_) | Frame::ForwardReply(_) | Frame::Chunk(_) => false,
    }
}
