//! Commands with one effect, however often the request for them comes.
//!
//! What is answered to a request is remembered in the transaction of its effect, or alone when the
//! rules refuse it. So the store decides which of several equal requests is the first, and the others
//! get its answer: those that come at the same time, those that come later, and those that come after
//! a restart. What is no decision, such as a store that fails, is not remembered: a repetition may
//! succeed then.
//!
//! A request that its sender named, so that it is known by its digest alone, is meant to be sent until
//! it succeeds. Of it only the success is remembered, and a refusal is decided again.
//!
//! How an answer looks is the caller's business; here it is bytes.

use bytes::Bytes;
use model::{Command, DomainError, Outcome, TaskId, Uin, UnixMillis};
use store::{Answer, AnswerKey, KnownBy, Transaction};

use super::Core;
use super::commit::{ATTEMPTS, Draft, Settled};
use crate::error::{StateError, UseCaseError};

/// What was decided about a command, for the caller.
pub type Decided = Result<Outcome, DomainError>;

/// Gives an answer its form. The task is the one that does what is left to do.
pub type Render = dyn Fn(Result<&Outcome, &DomainError>, Option<TaskId>) -> Bytes + Send + Sync;

/// What came of a command that is executed once.
#[derive(Debug, Clone, PartialEq)]
pub enum Execution {
    /// This was the first request for it.
    First {
        /// What was decided.
        decided: Box<Decided>,
        /// The answer that is remembered.
        answer: Bytes,
    },
    /// The request had been answered before.
    Repeated {
        /// The first answer.
        answer: Bytes,
    },
}

fn decided_first(decided: Decided, answer: Bytes) -> Execution {
    let decided = Box::new(decided);
    Execution::First { decided, answer }
}

impl Core {
    /// Executes a caller's command unless the request that it came with was answered before. When
    /// this returns the answer is remembered, and as durable as what the command wrote.
    ///
    /// # Errors
    /// [`UseCaseError::AnswersFull`], with nothing written, and what is no decision of the rules.
    pub async fn execute_once(
        &self,
        caller: Uin,
        command: &Command,
        request: AnswerKey,
        render: &Render,
    ) -> Result<Execution, UseCaseError> {
        for attempt in 0..ATTEMPTS {
            let catalog = self.catalog();
            let mut draft = Draft::new(&catalog);
            let decided = match self.write(&mut draft, caller, command) {
                Ok(outcome) => Ok(outcome),
                Err(UseCaseError::Domain(refusal)) => Err(refusal),
                Err(error) => return Err(error),
            };
            let answer = render(decided.as_ref(), draft.started());
            if decided.is_err() && request.known_by == KnownBy::Digest {
                let first = self.store.answer_to(request).await;
                return Ok(match first.map_err(StateError::Answers)? {
                    Some(answer) => Execution::Repeated { answer },
                    None => decided_first(decided, answer),
                });
            }
            let remembered = Answer {
                key: request,
                account: caller,
                value: answer.clone(),
            };
            let transaction = match &decided {
                Ok(_) => draft.finish(),
                Err(_) => None,
            };
            let committed = match transaction {
                Some(transaction) => {
                    let once = Transaction {
                        answer: Some(remembered),
                        ..transaction
                    };
                    self.store.commit(once).await
                }
                None => {
                    let remembered = self.store.remember(remembered).await;
                    remembered.map(|()| catalog.revision())
                }
            };
            let decided_on = catalog.revision();
            match self.settle(committed, decided_on, attempt).await? {
                Settled::Committed => return Ok(decided_first(decided, answer)),
                Settled::Answered(answer) => return Ok(Execution::Repeated { answer }),
                Settled::Again => {}
            }
        }
        Err(UseCaseError::Busy)
    }

    /// Forgets the answers to requests from before a time, at most so many; returns how many it were.
    ///
    /// # Errors
    /// [`UseCaseError::Unavailable`].
    pub async fn forget_answers(
        &self,
        before: UnixMillis,
        at_most: usize,
    ) -> Result<usize, UseCaseError> {
        let forgotten = self.store.forget_answers(before, at_most).await;
        forgotten.map_err(|error| StateError::Forget(error).into())
    }
}
