//! The records of a window, counted: every decision with what people and time made of it.
//!
//! What followed the window's decisions is read first, found by the decisions, and waits for them; then the decisions, the
//! newest first. So what people did is counted of the whole window also where there are more decisions than are read at once;
//! of those the window is a shorter one that is whole, and a rate is not told.

use super::MonitoringSettings;
use super::figures::{Acts, Figures};
use crate::http::decisions::{Facts, OverrideFacts};
use crate::http::outcomes::OutcomeFacts;
use serde::Deserialize;
use statera::policy::Decision;
use statera_core::Result;
use statera_store::Store;
use statera_store::record::{Id, RecordHead, RecordKind};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::slice;

/// Most records that one report reads of decisions, and of what followed them: some seconds, and some tens of megabytes for
/// what waits for its decision.
pub(super) const MAX_RECORDS: usize = 500_000;
/// Records that are read at once; other readers have their turn in between.
const PAGE: usize = 2_000;

/// What is to be counted.
pub(super) struct Window<'a> {
    /// Decisions from here, microseconds since 1970 UTC.
    pub from_us: i64,
    /// And before this.
    pub until_us: i64,
    /// Of one model only.
    pub model: Option<&'a str>,
    /// Records that are read at most, and as many of what followed decisions.
    pub max_records: usize,
}

/// What a row's decision was made into, as it waits for the decision's record.
#[derive(Default)]
pub(super) struct Fate {
    /// What people did.
    pub person: Option<Box<ByPerson>>,
    pub is_good: bool,
    pub is_bad: bool,
    /// Has an outcome that is neither.
    pub is_other: bool,
}

/// What people did to a row: its overrides as one, from what was decided first to what holds now.
pub(super) struct ByPerson {
    /// The model and its version that had decided.
    pub of: (String, u32),
    /// What the model decided; none without a policy.
    pub from: Option<Decision>,
    pub to: Decision,
    /// Who decided last, in a word.
    pub person: String,
    /// And why.
    pub reason: String,
}

/// What was counted.
#[derive(Default)]
pub(super) struct Counted {
    pub total: Figures,
    /// By model and version.
    pub versions: BTreeMap<(String, u32), Figures>,
    /// By who decided last.
    pub persons: BTreeMap<String, Acts>,
    /// By the reason that they gave.
    pub reasons: BTreeMap<String, Acts>,
    pub n_records: usize,
    /// Records whose facts this program cannot read.
    pub n_unreadable: u64,
    /// Rows whose overrides or outcomes were recorded in the window, while their decisions are older.
    pub n_earlier: u64,
    /// Where the reading of decisions ended if there were more, microseconds since 1970 UTC: all from there on are counted.
    pub cut_us: Option<i64>,
    /// Where the reading of what followed them ended, likewise by the times of the decisions.
    pub following_cut_us: Option<i64>,
}

/// Counts the records of a window.
///
/// # Errors
/// As the store says.
pub(super) fn count(store: &dyn Store, window: &Window<'_>, settings: &MonitoringSettings) -> Result<Counted> {
    let (waiting, earlier) = (BTreeMap::new(), BTreeSet::new());
    let mut scan = Scan { window, settings, waiting, earlier, counted: Counted::default() };
    scan.read_following(store)?;
    scan.read_decisions(store)?;
    scan.counted.n_earlier = scan.earlier.len() as u64;
    Ok(scan.counted)
}

struct Scan<'a> {
    window: &'a Window<'a>,
    settings: &'a MonitoringSettings,
    /// What followed decisions that have not come yet, by decision and row.
    waiting: BTreeMap<(Id, usize), Fate>,
    /// Rows of older decisions that something followed.
    earlier: BTreeSet<(Id, usize)>,
    counted: Counted,
}

impl Scan<'_> {
    /// Reads what followed the window's decisions, those of the newest decision first.
    fn read_following(&mut self, store: &dyn Store) -> Result<()> {
        let from = Id::first_at(self.window.from_us);
        let mut before = (Id::first_at(self.window.until_us), Id::first_at(0));
        let mut together: Vec<RecordHead> = Vec::new();
        let mut n_read = 0;
        loop {
            let left = self.window.max_records - n_read;
            let page = store.following_heads(from, before, left.clamp(1, PAGE))?;
            let Some(last) = page.last() else { break };
            if left == 0 {
                // Of the last decision not everything may have been read, nor of others of its millisecond.
                let cut_us = before.0.at_us() + 1_000;
                together.retain(|head| head.of.is_some_and(|of| of >= Id::first_at(cut_us)));
                self.waiting = self.waiting.split_off(&(Id::first_at(cut_us), 0_usize));
                self.counted.following_cut_us = Some(cut_us);
                break;
            }
            n_read += page.len();
            before = (last.of.unwrap_or(from), last.id);
            for head in page {
                if together.first().is_some_and(|first| first.of != head.of) {
                    self.take_together(&mut together);
                }
                together.push(head);
            }
        }
        self.take_together(&mut together);
        self.counted.n_records += n_read;
        Ok(())
    }

    /// Takes what followed one decision, the latest first.
    fn take_together(&mut self, together: &mut Vec<RecordHead>) {
        together.sort_by_key(|head| Reverse(head.at_us));
        for head in together.drain(..) {
            let is_read = match head.kind {
                RecordKind::Override => self.overridden(&head),
                RecordKind::Outcome => self.became(&head),
                // An objection holds a decision of its own. What people do about a case is told of each of its transactions
                // as an outcome. Edges follow nothing.
                RecordKind::Decision | RecordKind::Objection | RecordKind::Alert | RecordKind::Edges => Some(()),
            };
            self.counted.n_unreadable += u64::from(is_read.is_none());
        }
    }

    /// Reads the decisions of which all is known that followed them, the newest first.
    fn read_decisions(&mut self, store: &dyn Store) -> Result<()> {
        let from_us = self.counted.following_cut_us.unwrap_or(self.window.from_us);
        let (from, mut until) = (Id::first_at(from_us), Id::first_at(self.window.until_us));
        self.counted.cut_us = self.counted.following_cut_us;
        let mut n_read = 0;
        loop {
            let left = self.window.max_records - n_read;
            let page = store.record_heads(from, until, left.clamp(1, PAGE))?;
            let Some(oldest) = page.last() else { break };
            if left == 0 {
                // Of its own millisecond some may not have been read.
                self.counted.cut_us = Some(until.at_us() + 1_000);
                break;
            }
            n_read += page.len();
            until = oldest.id;
            for head in &page {
                let is_read = match head.kind {
                    RecordKind::Decision | RecordKind::Objection => self.decided(head),
                    RecordKind::Override | RecordKind::Outcome => self.is_earlier(head),
                    RecordKind::Alert | RecordKind::Edges => Some(()),
                };
                self.counted.n_unreadable += u64::from(is_read.is_none());
            }
        }
        self.counted.n_records += n_read;
        self.count_the_rest();
        Ok(())
    }

    fn is_asked_for(&self, model: &str) -> bool {
        self.window.model.is_none_or(|asked| asked == model)
    }

    /// Notes what followed a decision that is older than the window; the others were read.
    fn is_earlier(&mut self, head: &RecordHead) -> Option<()> {
        let of = head.of?;
        if of >= Id::first_at(self.window.from_us) {
            return Some(());
        }
        let facts: OfRow = serde_json::from_str(&head.facts).ok()?;
        if self.is_asked_for(&facts.model) {
            self.earlier.insert((of, facts.row));
        }
        Some(())
    }

    fn overridden(&mut self, head: &RecordHead) -> Option<()> {
        let facts: OverrideFacts = serde_json::from_str(&head.facts).ok()?;
        if !self.is_asked_for(&facts.model) {
            return Some(());
        }
        let fate = self.waiting.entry((head.of?, facts.row)).or_default();
        match &mut fate.person {
            // An earlier override of the row: what it began from is nearer to what the model decided.
            Some(person) => person.from = facts.from,
            None => {
                let (of, from, to, reason) = ((facts.model, facts.version), facts.from, facts.to, facts.reason);
                fate.person = Some(Box::new(ByPerson { of, from, to, person: head.actor.label(), reason }));
            }
        }
        Some(())
    }

    fn became(&mut self, head: &RecordHead) -> Option<()> {
        let facts: OutcomeFacts = serde_json::from_str(&head.facts).ok()?;
        if !self.is_asked_for(&facts.model) {
            return Some(());
        }
        let fate = self.waiting.entry((head.of?, facts.row)).or_default();
        let (is_good, is_bad) =
            (self.settings.good_outcomes.contains(&facts.outcome), self.settings.bad_outcomes.contains(&facts.outcome));
        fate.is_good |= is_good;
        fate.is_bad |= is_bad;
        fate.is_other |= !is_good && !is_bad;
        Some(())
    }

    fn decided(&mut self, head: &RecordHead) -> Option<()> {
        let facts: Facts<'_> = serde_json::from_str(&head.facts).ok()?;
        if !self.is_asked_for(&facts.model) {
            return Some(());
        }
        let mut fates = Vec::new();
        while let Some((key, _)) = self.waiting.range((head.id, 0)..=(head.id, usize::MAX)).next() {
            let key = *key;
            fates.extend(self.waiting.remove(&key).filter(|_| key.1 < facts.rows));
        }
        let counted = &mut self.counted;
        counted.total.count(facts.rows, facts.counts, &fates);
        let version = counted.versions.entry((facts.model.to_string(), facts.version)).or_default();
        version.count(facts.rows, facts.counts, &fates);
        fates.iter().for_each(|fate| counted.count_person(fate));
        Some(())
    }

    /// Counts what people did to decisions that were not read: the overrides say whose they are.
    fn count_the_rest(&mut self) {
        let Some(cut_us) = self.counted.cut_us else { return };
        for fate in self.waiting.range(..(Id::first_at(cut_us), 0_usize)).map(|(_, fate)| fate) {
            let (Some(person), Some(_)) = (&fate.person, fate.direction()) else { continue };
            self.counted.total.count(0, None, slice::from_ref(fate));
            let version = self.counted.versions.entry(person.of.clone()).or_default();
            version.count(0, None, slice::from_ref(fate));
            self.counted.count_person(fate);
        }
    }
}

impl Counted {
    fn count_person(&mut self, fate: &Fate) {
        let (Some(person), Some(direction)) = (&fate.person, fate.direction()) else { return };
        self.persons.entry(person.person.clone()).or_default().count(direction, fate);
        self.reasons.entry(person.reason.clone()).or_default().count(direction, fate);
    }
}

/// What facts of everything that follows a decision say.
#[derive(Deserialize)]
struct OfRow {
    model: String,
    row: usize,
}
