//! The notices and warnings of a session that nobody has taken yet.

use std::collections::VecDeque;

use kestrel_proto::ErrorReport;

/// All of them together.
const BYTES_MAX: usize = 1 << 20;

/// A bounded queue: the oldest are forgotten.
pub(super) struct Notices {
    queue: VecDeque<ErrorReport>,
    count_max: usize,
    bytes: usize,
}

impl Notices {
    pub(super) fn new(count_max: usize) -> Self {
        Self { queue: VecDeque::new(), count_max, bytes: 0 }
    }

    pub(super) fn push(&mut self, notice: ErrorReport) {
        self.bytes += bytes(&notice);
        self.queue.push_back(notice);
        while self.queue.len() > self.count_max || self.bytes > BYTES_MAX {
            let Some(oldest) = self.queue.pop_front() else { break };
            self.bytes -= bytes(&oldest);
        }
    }

    /// All, oldest first.
    pub(super) fn take(&mut self) -> Vec<ErrorReport> {
        self.bytes = 0;
        self.queue.drain(..).collect()
    }
}

fn bytes(notice: &ErrorReport) -> usize {
    let texts = [&notice.detail, &notice.hint, &notice.context];
    let texts = texts.into_iter().flatten().map(String::len).sum::<usize>();
    size_of::<ErrorReport>() + notice.message.len() + texts
}

#[cfg(test)]
mod tests {
    use kestrel_proto::SqlState;

    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let mut notices = Notices::new(3);
        let notice = |message: &str| ErrorReport::notice(SqlState::WARNING, message);
        for message in ["1", "2", "3", "4"] {
            notices.push(notice(message));
        }
        let messages = |notices: Vec<ErrorReport>| -> Vec<String> {
            notices.into_iter().map(|notice| notice.message).collect()
        };
        assert_eq!(messages(notices.take()), ["2", "3", "4"]);
        assert!(notices.take().is_empty());

        notices.push(notice("5"));
        notices.push(notice(&"long".repeat(BYTES_MAX / 4)));
        assert!(notices.take().is_empty(), "a notice larger than all bounds is kept");
        notices.push(notice("6"));
        assert_eq!(messages(notices.take()), ["6"]);
    }
}
