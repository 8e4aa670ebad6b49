//! Judges a history by the reference: every commit did what its operation should have done to the
//! state just before it, and every refusal was right on the state that it was decided on.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::Excluded;

use store::record::{Record, decode};
use store::{Change, Revision, Write};

use super::history::{Attempt, Done, Op, TracedStore};
use super::reference::{Choice, Reference};
use super::*;

/// What a run is judged by, beside its history.
pub struct Judge<'a> {
    pub done: &'a [Done],
    /// Commits up to here were made by whoever set the scene.
    pub scene: Revision,
    pub lifetime: std::time::Duration,
}

impl Judge<'_> {
    /// Everything that was wrong, in the order of the revisions.
    pub fn verdict(&self, store: &TracedStore) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut commits = BTreeMap::new();
        let mut answers: BTreeMap<Revision, Vec<(&Done, &Attempt)>> = BTreeMap::new();
        for done in self.done {
            for attempt in &done.attempts {
                if let Some(revision) = attempt.committed {
                    commits.insert(revision, (done, attempt));
                }
            }
            let last = done.attempts.last().expect("every operation decides");
            if last.committed.is_none() && done.result.is_some() {
                answers
                    .entry(last.decided_on)
                    .or_default()
                    .push((done, last));
            }
        }
        let mut ends = Ends::default();
        let mut state = Reference::default();
        let changes = store.changes.lock().unwrap().clone();
        for (revision, change) in &changes {
            let before = state.clone();
            state.apply(change);
            if *revision > self.scene {
                let judged = match commits.get(revision) {
                    Some((done, attempt)) => {
                        let between = (Excluded(attempt.decided_on), Excluded(*revision));
                        let meanwhile = changes.range(between).flat_map(|(_, other)| &other.writes);
                        let meanwhile = meanwhile.map(|write| write.key().to_owned()).collect();
                        self.commit(done, attempt, change, (&before, &state), &meanwhile)
                    }
                    None => Err("nobody asked for it".to_owned()),
                };
                let judged = judged.and_then(|()| ends.follow(change));
                wrong.extend(
                    judged
                        .err()
                        .map(|what| format!("revision {revision}: {what}")),
                );
            }
            for (done, attempt) in answers.remove(revision).into_iter().flatten() {
                let judged = self.answer(done, attempt, &state).err();
                wrong.extend(judged.map(|what| format!("on revision {revision}: {what}")));
            }
        }
        assert!(answers.is_empty(), "decided on a revision that never was");
        wrong
    }

    fn commit(
        &self,
        done: &Done,
        attempt: &Attempt,
        change: &Change,
        (before, after): (&Reference, &Reference),
        meanwhile: &BTreeSet<String>,
    ) -> Result<(), String> {
        let op = &done.op;
        if let Op::Join(..) = op {
            return Ok(());
        }
        // Forgetting what is old is the other thing that time does.
        let is_about_peerings = change
            .writes
            .iter()
            .any(|write| write.key().starts_with("pcx/"));
        if matches!(op, Op::Expire) && !is_about_peerings {
            return if before == after {
                Ok(())
            } else {
                Err("forgetting changed something".to_owned())
            };
        }
        let outcome = match &done.result {
            Some(Ok(outcome)) => outcome,
            other => return Err(format!("{op:?} committed and answered {other:?}")),
        };
        let clock = attempt.clock.unwrap_or((UnixMillis(0), UnixMillis(0)));
        let choice = Choice {
            before,
            after,
            outcome,
            clock,
            lifetime: self.lifetime,
            meanwhile,
        };
        let by_time = [clock.0, clock.1].map(|now| {
            let objections = before.objections(op, now);
            if !objections.is_empty() {
                return Err(format!("{op:?} was done in spite of {objections:?}"));
            }
            let mut expected = before.clone();
            expected.perform(op, now, &choice)?;
            if expected == *after {
                Ok(())
            } else {
                Err(format!(
                    "{op:?} made of\n{before:#?}\n{after:#?}\nnot\n{expected:#?}"
                ))
            }
        });
        let [first, last] = by_time;
        first.or(last)
    }

    fn answer(&self, done: &Done, attempt: &Attempt, state: &Reference) -> Result<(), String> {
        let (op, result) = (&done.op, done.result.as_ref().expect("it was answered"));
        let (first, last) = attempt.clock.unwrap_or((UnixMillis(0), UnixMillis(0)));
        match result {
            Err(refusal) => {
                let objections = [first, last].map(|now| state.objections(op, now));
                if objections.iter().any(|all| all.contains(refusal)) {
                    return Ok(());
                }
                Err(format!(
                    "{op:?} was refused: {refusal:?}, not {objections:?}"
                ))
            }
            Ok(_) if matches!(op, Op::Expire | Op::Join(..)) => Ok(()),
            Ok(outcome) => {
                let choice = Choice {
                    before: state,
                    after: state,
                    outcome,
                    clock: (first, last),
                    lifetime: self.lifetime,
                    meanwhile: &BTreeSet::new(),
                };
                let mut expected = state.clone();
                let nothing = expected.perform(op, first, &choice);
                match nothing {
                    Ok(()) if expected == *state => Ok(()),
                    other => Err(format!("{op:?} did nothing: {other:?}")),
                }
            }
        }
    }
}

/// No number of a task is given out twice, and no task ends twice.
#[derive(Default)]
struct Ends {
    known: BTreeMap<TaskId, TaskState>,
}

impl Ends {
    fn follow(&mut self, change: &Change) -> Result<(), String> {
        for write in &change.writes {
            let Write::Put { value, .. } = write else {
                continue;
            };
            let Record::Task(task) = decode(write.key(), value).unwrap() else {
                continue;
            };
            let id = task.id;
            let known = self.known.insert(id, task.state.clone());
            let is_right = match &known {
                None => true,
                Some(TaskState::Running) => !task.is_running(),
                Some(_) => false,
            };
            if !is_right {
                return Err(format!("task {id} was {known:?} and is {:?}", task.state));
            }
        }
        Ok(())
    }
}
