//! What was said of late: each advice once, with how often.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use kestrel_planner::advice::{Advice, Decider, Delivery, KINDS, Object};
use parking_lot::Mutex;

/// How much is remembered; what was found longest ago goes first.
const REMEMBERED: usize = 1000;

/// An advice, and when it was given.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// As it was given last.
    pub advice: Advice,
    /// How loud.
    pub delivery: Delivery,
    /// In how many statements it was found.
    pub count: u64,
    /// When first.
    pub first_seen_at: DateTime<Utc>,
    /// When last.
    pub last_seen_at: DateTime<Utc>,
}

/// By kind and object. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct AdviceLog {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    advice: HashMap<(&'static str, Object), Remembered>,
    /// How often each kind was found since the coordinator started.
    counts: BTreeMap<&'static str, u64>,
}

impl AdviceLog {
    /// It was found once more.
    pub fn note(&self, advice: &Advice, delivery: Delivery, now: DateTime<Utc>) {
        let mut kept = self.kept.lock();
        *kept.counts.entry(advice.kind.name).or_default() += 1;
        let key = (advice.kind.name, advice.finding.object.clone());
        if let Some(known) = kept.advice.get_mut(&key) {
            (known.advice, known.delivery) = (advice.clone(), delivery);
            (known.count, known.last_seen_at) = (known.count + 1, now);
            return;
        }
        if kept.advice.len() >= REMEMBERED {
            let oldest = kept.advice.iter().min_by_key(|(_, known)| known.last_seen_at);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                kept.advice.remove(&key);
            }
        }
        let advice = advice.clone();
        let (first_seen_at, last_seen_at) = (now, now);
        let known = Remembered { advice, delivery, count: 1, first_seen_at, last_seen_at };
        kept.advice.insert(key, known);
    }

    /// This is all that there is to say of a table now: what else was said of it is settled.
    pub fn settle(&self, table: u64, found: &[Advice]) {
        let mut kept = self.kept.lock();
        if kept.advice.is_empty() {
            return;
        }
        kept.advice.retain(|(kind, object), known| {
            let is_of_table = matches!(known.advice.kind.decider, Decider::Table(_));
            let is_other = object.tables != [table] || !is_of_table;
            is_other || found.iter().any(|advice| advice.kind.name == *kind)
        });
    }

    /// All that is remembered, what was found last first.
    pub fn all(&self) -> Vec<Remembered> {
        let mut all: Vec<_> = self.kept.lock().advice.values().cloned().collect();
        all.sort_by_key(|known| std::cmp::Reverse(known.last_seen_at));
        all
    }

    /// How often each kind was found since the coordinator started.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        let kept = self.kept.lock();
        let count = |name| kept.counts.get(name).copied().unwrap_or_default();
        KINDS.iter().map(|kind| (kind.name, count(kind.name))).collect()
    }
}

#[cfg(test)]
mod tests {
    use kestrel_planner::advice::Finding;

    use super::*;

    fn advice(kind: &str, table: u64) -> Advice {
        let object = Object { schema: "s".into(), name: table.to_string(), tables: vec![table] };
        let finding = Finding {
            object,
            at_most: Delivery::Warning,
            message: String::new(),
            detail: String::new(),
            hint: None,
        };
        let kind = KINDS.iter().find(|known| known.name == kind).unwrap();
        Advice { kind, finding }
    }

    #[test]
    fn advice_is_counted_kept_within_a_bound_and_settled() {
        let (log, at) = (AdviceLog::default(), |s| DateTime::from_timestamp(s, 0).unwrap());
        for (kind, table, second) in
            [("storage_skew", 1, 1), ("broadcast", 1, 2), ("storage_skew", 1, 3)]
        {
            log.note(&advice(kind, table), Delivery::Warning, at(second));
        }
        let shown = |log: &AdviceLog| -> Vec<(String, u64, i64)> {
            let all = log.all();
            let of = |known: &Remembered| {
                let name = known.advice.kind.name.to_string();
                (name, known.count, known.first_seen_at.timestamp())
            };
            all.iter().map(of).collect()
        };
        let (skew, broadcast) = (("storage_skew".into(), 2, 1), ("broadcast".into(), 1, 2));
        assert_eq!(shown(&log), [skew, broadcast]);
        // The table lies evenly now; what plans did with it is another thing.
        log.settle(2, &[]);
        assert_eq!(log.all().len(), 2);
        log.settle(1, &[advice("missing_statistics", 1)]);
        assert_eq!(shown(&log), [("broadcast".into(), 1, 2)]);
        assert!(log.counts().contains(&("storage_skew", 2)));
        for table in 0..2 * REMEMBERED as u64 {
            log.note(&advice("cartesian", table), Delivery::View, at(10 + table as i64));
        }
        assert_eq!(log.all().len(), REMEMBERED);
    }
}
