//! What a session is told of skew, statistics and expensive plans: how loud its settings say, and each
//! advice once in a while.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use kestrel_planner::{
    access::Actor,
    advice::{Advice, Delivery, KINDS, Kind, Object, PlanFacts, RunFacts, THRESHOLDS, Thresholds},
    catalog::{Catalog, ObjectKind, Privilege},
    plan::Plan,
};
use kestrel_proto::SqlState;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{ClientSession, NoticeSender, settings::Settings, settings::SettingsNow};
use crate::{engine::Engine, query::QuerySummary};

/// Things that a session remembers to have been told; beyond that it is told again.
const SAID_MAX: usize = 1000;

/// What a session keeps of it.
#[derive(Debug, Default)]
pub(super) struct SessionAdvice {
    said: Said,
    /// As of these settings.
    settings: Option<(SettingsNow, Arc<AdviceSettings>)>,
}

/// What a session wants to be told.
#[derive(Debug)]
struct AdviceSettings {
    thresholds: Thresholds,
    /// In the order of [`KINDS`].
    deliveries: Vec<Delivery>,
    /// How long nothing is said again.
    cooldown: Duration,
}

impl AdviceSettings {
    fn of(settings: &Settings) -> Self {
        let number = |name: &str| settings.get(name).and_then(|value| value.parse::<f64>().ok());
        let mut thresholds = Thresholds::default();
        for threshold in THRESHOLDS {
            threshold.set(&mut thresholds, number(threshold.setting).unwrap_or(threshold.default));
        }
        let delivery = |kind: &Kind| {
            let word = settings.get(&format!("kestrel.advice_{}", kind.name));
            word.and_then(|word| Delivery::of_word(&word)).unwrap_or(kind.delivery)
        };
        let seconds = number("kestrel.advice_cooldown").unwrap_or_default().max(0.0);
        Self {
            thresholds,
            deliveries: KINDS.iter().map(delivery).collect(),
            cooldown: Duration::from_secs_f64(seconds),
        }
    }

    fn is_off(&self) -> bool {
        self.deliveries.iter().all(|delivery| *delivery == Delivery::Off)
    }

    fn of_kind(&self, advice: &Advice) -> Delivery {
        let kinds = KINDS.iter().zip(&self.deliveries);
        let mut found = kinds.filter(|(kind, _)| kind.name == advice.kind.name);
        let delivery = found.next().map_or(advice.kind.delivery, |(_, delivery)| *delivery);
        advice.delivered(delivery)
    }
}

/// When what was said: by the kind of advice and of statement, and what it was about.
#[derive(Clone, Debug, Default)]
struct Said(Arc<Mutex<HashMap<SaidKey, Instant>>>);

type SaidKey = (SqlState, &'static str, Object);

impl Said {
    /// May it be said now? Then it is.
    fn may_say(&self, advice: &Advice, statement: &'static str, cooldown: Duration) -> bool {
        let key = (advice.kind.sqlstate, statement, advice.finding.object.clone());
        let (mut said, now) = (self.0.lock(), Instant::now());
        let is_recent = said.get(&key).is_some_and(|at| now.duration_since(*at) < cooldown);
        if is_recent {
            return false;
        }
        if said.len() >= SAID_MAX {
            said.clear();
        }
        said.insert(key, now);
        true
    }
}

/// A plan that is looked at once more when it has run.
pub(super) struct Watch {
    facts: PlanFacts,
    /// Tables whose statistics are missing or stale.
    stale: BTreeSet<u64>,
    /// Tables that lie unevenly.
    skewed: BTreeSet<u64>,
    view: Arc<Catalog>,
    role: u64,
    engine: Arc<Engine>,
    settings: Arc<AdviceSettings>,
    said: Said,
    statement: &'static str,
    notices: Option<NoticeSender>,
}

/// Advice, and how loud it is.
pub(super) type Given = (Advice, Delivery);

impl ClientSession {
    /// Tells the client what there is to say of a plan that is about to run; what looks at it again when
    /// it has. `None`: the session wants to know nothing.
    pub(super) fn advise(
        &mut self,
        plan: &Plan,
        view: &Arc<Catalog>,
        statement: &'static str,
    ) -> Option<Watch> {
        let (watch, given) = self.look_at(plan, view, statement)?;
        watch.say(&given);
        Some(watch)
    }

    /// The same, told to nobody but who looks into `kestrel.advice`.
    pub(super) fn look_at(
        &mut self,
        plan: &Plan,
        view: &Arc<Catalog>,
        statement: &'static str,
    ) -> Option<(Watch, Vec<Given>)> {
        let settings = self.advice_settings();
        if settings.is_off() {
            return None;
        }
        let facts = PlanFacts::of(plan, view.datanodes.len());
        let found = self.engine.advice.of_plan(&facts, view, &settings.thresholds);
        let stale = [SqlState::MISSING_STATISTICS, SqlState::STALE_STATISTICS];
        let watch = Watch {
            stale: tables_of(&found, &stale),
            skewed: tables_of(&found, &[SqlState::STORAGE_SKEW]),
            facts,
            view: Arc::clone(view),
            role: self.identity(view).current,
            engine: Arc::clone(&self.engine),
            settings,
            said: self.advice.said.clone(),
            statement,
            notices: self.notices.clone(),
        };
        let given = watch.noted(found);
        Some((watch, given))
    }

    fn advice_settings(&mut self) -> Arc<AdviceSettings> {
        match &self.advice.settings {
            Some((then, known)) if self.settings.is_as(then) => Arc::clone(known),
            _ => {
                let now = Arc::new(AdviceSettings::of(&self.settings));
                self.advice.settings = Some((self.settings.now(), Arc::clone(&now)));
                now
            }
        }
    }
}

/// The tables of which something of these kinds was found.
fn tables_of(found: &[Advice], kinds: &[SqlState]) -> BTreeSet<u64> {
    let found = found.iter().filter(|advice| kinds.contains(&advice.kind.sqlstate));
    found.flat_map(|advice| advice.finding.object.tables.iter().copied()).collect()
}

impl Watch {
    /// Whether it wants to see what operators gave.
    pub(super) fn counts_rows(&self) -> bool {
        self.facts.is_counted
    }

    /// Tells the client what there is to say of a plan that has run to its end.
    pub(super) fn ended(&self, summary: &QuerySummary) {
        let given = self.look_back(summary);
        self.say(&given);
    }

    /// The same, told to nobody but who looks into `kestrel.advice`.
    pub(super) fn look_back(&self, summary: &QuerySummary) -> Vec<Given> {
        let traffic = summary.fragments.iter().flat_map(|(_, _, report)| &report.traffic);
        let reports = summary.fragments.iter().map(|(slice, id, report)| (*slice, *id, report));
        let mut run = RunFacts::of(traffic, self.stale.clone()).with_operators(reports);
        run.skewed.clone_from(&self.skewed);
        self.noted(self.engine.advice.of_run(&self.facts, &run, &self.settings.thresholds))
    }

    /// What is wanted, and may be known: advice tells of values.
    fn noted(&self, found: Vec<Advice>) -> Vec<Given> {
        if found.is_empty() {
            return Vec::new();
        }
        let actor = Actor::new(&self.view, self.role);
        let may_read =
            |table: &u64| actor.privileges(*table, ObjectKind::Table).has(Privilege::Select);
        let given = found.into_iter().map(|advice| {
            let delivery = self.settings.of_kind(&advice);
            (advice, delivery)
        });
        let given = given.filter(|(advice, delivery)| {
            *delivery != Delivery::Off && advice.finding.object.tables.iter().all(may_read)
        });
        let given: Vec<_> = given.collect();
        let now = Utc::now();
        given.iter().for_each(|(advice, how)| self.engine.advice.log.note(advice, *how, now));
        given
    }

    fn say(&self, given: &[Given]) {
        let Some(notices) = &self.notices else { return };
        for (advice, delivery) in given {
            let Some(severity) = delivery.severity() else { continue };
            if self.said.may_say(advice, self.statement, self.settings.cooldown) {
                notices.send(advice.report(severity));
            }
        }
    }
}

/// As the last lines of EXPLAIN.
pub(super) fn lines(given: &[Given]) -> Vec<String> {
    let mut lines = Vec::new();
    for (advice, _) in given {
        let finding = &advice.finding;
        lines.push(format!("Advice {}: {}", advice.kind.sqlstate.as_str(), finding.message));
        lines.push(format!("  Detail: {}", finding.detail));
        lines.extend(finding.hint.iter().map(|hint| format!("  Hint: {hint}")));
    }
    lines
}

/// As a part of EXPLAIN's JSON.
pub(super) fn values(given: &[Given]) -> Value {
    let value = |(advice, delivery): &Given| {
        let finding = &advice.finding;
        json!({
            "SQLSTATE": advice.kind.sqlstate.as_str(),
            "Kind": advice.kind.name,
            "Delivery": delivery.word(),
            "Message": finding.message,
            "Detail": finding.detail,
            "Hint": finding.hint,
        })
    };
    given.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use kestrel_planner::advice::Finding;

    use super::*;

    /// What the table of settings says of advice is what the planner does without it.
    #[test]
    fn defaults_of_settings_are_those_of_kinds_and_thresholds() {
        let settings = Settings::default();
        for kind in KINDS {
            let word = settings.get(&format!("kestrel.advice_{}", kind.name));
            assert_eq!(word.as_deref(), Some(kind.delivery.word()), "{}", kind.name);
        }
        for threshold in THRESHOLDS {
            let value = settings.get(threshold.setting).and_then(|value| value.parse().ok());
            assert_eq!(value, Some(threshold.default), "{}", threshold.setting);
        }
        assert_eq!(AdviceSettings::of(&settings).thresholds, Thresholds::default());
    }

    #[test]
    fn a_thing_is_said_once_for_each_kind_of_statement_until_it_is_cold() {
        let finding = Finding {
            object: Object::default(),
            at_most: Delivery::Warning,
            message: String::new(),
            detail: String::new(),
            hint: None,
        };
        let advice = Advice { kind: &KINDS[0], finding };
        let (said, hour) = (Said::default(), Duration::from_secs(3600));
        for (statement, cooldown, expected) in [
            ("SELECT", hour, true),
            ("SELECT", hour, false),
            ("INSERT", hour, true),
            ("SELECT", Duration::ZERO, true),
        ] {
            assert_eq!(said.may_say(&advice, statement, cooldown), expected, "{statement}");
        }
    }
}
