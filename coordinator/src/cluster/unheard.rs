//! Orders that a datanode has not heard, to be repeated when it answers again.

use std::collections::VecDeque;

use kestrel_proto::{DropSegments, QueryId, Result, SnapshotScope, SqlState, TransactionId};
use parking_lot::Mutex;

/// With so many orders waiting, no more files are noted.
const ORDERS_MAX: usize = 10_000;

/// What a datanode must hear at last.
#[derive(Clone, Debug)]
pub(super) enum Order {
    EndQuery(QueryId),
    Drop(DropSegments),
    CloseSnapshot(SnapshotScope),
    /// Of a transaction that began in this epoch.
    RollBack(TransactionId, u64),
}

/// The orders that one datanode has not heard.
#[derive(Debug, Default)]
pub(super) struct Unheard(Mutex<VecDeque<Order>>);

impl Unheard {
    /// Notes an order; whether it will be repeated. Files that are forgotten go at the
    /// coordinator's next start. Ends of queries and transactions are never forgotten: there are only
    /// as many as ran when the datanode was lost.
    pub(super) fn note(&self, order: Order) -> bool {
        let mut orders = self.0.lock();
        let is_kept = match order {
            Order::EndQuery(_) | Order::CloseSnapshot(_) | Order::RollBack(..) => true,
            Order::Drop(_) => orders.len() < ORDERS_MAX,
        };
        if is_kept {
            orders.push_back(order);
        }
        is_kept
    }

    /// Tells them all, until the datanode is lost again. One call at a time.
    pub(super) async fn repeat<F>(&self, tell: impl Fn(Order) -> F)
    where
        F: Future<Output = Result<()>>,
    {
        loop {
            // It stays there until it was told: this call may be given up meanwhile.
            let Some(order) = self.0.lock().front().cloned() else { return };
            let told = tell(order).await;
            let mut orders = self.0.lock();
            let order = orders.pop_front();
            match told {
                Ok(()) => {}
                Err(error) if error.sqlstate == SqlState::DATANODE_LOST => {
                    // To the back: an order that takes too long must not hold up the others.
                    orders.extend(order);
                    return;
                }
                // What it refuses it has heard.
                Err(error) => tracing::warn!(%error, "an order was refused"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kestrel_proto::ErrorReport;

    use super::*;

    fn drop_files(name: &str) -> Order {
        Order::Drop(DropSegments::Files(vec![name.into()]))
    }

    #[test]
    fn files_may_be_forgotten_and_queries_not() {
        let unheard = Unheard::default();
        for _ in 0..ORDERS_MAX {
            assert!(unheard.note(drop_files("a")));
        }
        assert!(!unheard.note(drop_files("b")));
        assert!(unheard.note(Order::EndQuery(QueryId::random())));
        assert_eq!(unheard.0.lock().len(), ORDERS_MAX + 1);
    }

    #[tokio::test]
    async fn orders_are_repeated_until_the_datanode_is_lost_again() {
        let unheard = Unheard::default();
        let orders =
            [drop_files("a"), Order::EndQuery(QueryId::random()), drop_files("b"), drop_files("c")];
        let [a, end, b, c] = orders.each_ref().map(|order| format!("{order:?}"));
        for order in orders {
            unheard.note(order);
        }
        // What the datanode answers, call by call; what it was told; what is left.
        for (answers, told, left) in [
            (vec![Some(SqlState::DATANODE_LOST)], vec![&a], vec![&end, &b, &c, &a]),
            (
                vec![None, Some(SqlState::IO_ERROR), Some(SqlState::DATANODE_LOST)],
                vec![&end, &b, &c],
                vec![&a, &c],
            ),
            (vec![None, None], vec![&a, &c], vec![]),
            (vec![], vec![], vec![]),
        ] {
            let (answers, heard) = (Mutex::new(VecDeque::from(answers)), Mutex::new(Vec::new()));
            let tell = |order: Order| {
                heard.lock().push(format!("{order:?}"));
                let answer = answers.lock().pop_front().unwrap();
                async move { answer.map_or(Ok(()), |state| Err(ErrorReport::new(state, "no"))) }
            };
            unheard.repeat(tell).await;
            assert_eq!(heard.lock().iter().collect::<Vec<_>>(), told);
            let found: Vec<_> = unheard.0.lock().iter().map(|o| format!("{o:?}")).collect();
            assert_eq!(found.iter().collect::<Vec<_>>(), left);
        }
    }
}
