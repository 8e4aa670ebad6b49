//! Ids of requests, which clients show, and by which they ask for the work behind an action.
//!
//! An id is a UUID (RFC 9562). One of version 4 is random. Where an action left work to be done, its
//! id is of version 8 and holds the number of the task, so that nothing has to be remembered for it.
//! Whose task it is, is checked where it is asked for.

use model::TaskId;

const VERSION_4: u128 = 0x4 << 76;
const VERSION_8: u128 = 0x8 << 76;
const VERSION: u128 = 0xf << 76;
const VARIANT: u128 = 0x2 << 62;
const FREE: u128 = !(VERSION | 0x3 << 62);
/// The bits behind the variant.
const LOW: u64 = u64::MAX >> 2;

/// An id for a request, of random bits; of its task, if there is one.
pub fn request_id(entropy: u128, task: Option<TaskId>) -> String {
    let high = (entropy >> 64) as u64;
    let number = match task.filter(|task| task.0 <= LOW) {
        None => entropy & FREE | VERSION_4,
        Some(task) => {
            let high = u128::from(high) << 64 & FREE | VERSION_8;
            high | u128::from(task.0 ^ mask(high))
        }
    } | VARIANT;
    let text = format!("{number:032x}");
    let parts = [
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    ];
    parts.join("-")
}

/// The task of a request; `Ok(None)` when it left none, and `Err` when the text is no such id.
///
/// # Errors
/// The reason, for the caller.
pub(super) fn task_of(text: &str) -> Result<Option<TaskId>, &'static str> {
    let is_id = text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    let reason = "it is not the RequestId of an answer";
    if !is_id {
        return Err(reason);
    }
    let digits = text.replace('-', "");
    let number = u128::from_str_radix(&digits, 16).map_err(|_| reason)?;
    if number & VERSION != VERSION_8 {
        return Ok(None);
    }
    let high = number >> 64 << 64;
    Ok(Some(TaskId((number as u64 & LOW) ^ mask(high))))
}

/// Makes ids of tasks that follow each other look unlike. It hides nothing.
fn mask(high: u128) -> u64 {
    // The multiplier of a linear congruential generator, after Steele and Vigna, 2021.
    ((high >> 64) as u64).wrapping_mul(0xd134_2543_de82_ef95) & LOW
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ENTROPY: [u128; 4] = [
        0,
        u128::MAX,
        0x0123_4567_89ab_cdef_fedc_ba98_7654_3210,
        1 << 70,
    ];

    #[test]
    fn ids_are_uuids_in_lower_case() {
        for entropy in ENTROPY {
            for (task, version) in [(None, "4"), (Some(TaskId(4711)), "8")] {
                let id = request_id(entropy, task);
                let lengths: Vec<usize> = id.split('-').map(str::len).collect();
                assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
                let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
                assert!(id.bytes().all(|byte| byte == b'-' || is_hex(byte)), "{id}");
                assert_eq!(&id[14..15], version);
                assert!("89ab".contains(&id[19..20]), "{id}");
            }
        }
    }

    #[test]
    fn an_id_tells_the_task_that_it_was_made_of() {
        for entropy in ENTROPY {
            for task in [0, 1, 4711, LOW] {
                let id = request_id(entropy, Some(TaskId(task)));
                assert_eq!(task_of(&id), Ok(Some(TaskId(task))), "{id}");
            }
            assert_eq!(task_of(&request_id(entropy, None)), Ok(None));
            // No number that is too large is cut.
            assert_eq!(
                task_of(&request_id(entropy, Some(TaskId(LOW + 1)))),
                Ok(None)
            );
        }
        let ids = ENTROPY.map(|entropy| request_id(entropy, Some(TaskId(1))));
        assert_eq!(BTreeSet::from(ids).len(), ENTROPY.len());
    }

    #[test]
    fn what_is_no_id_is_told_so() {
        for text in [
            "",
            "7",
            "2c9d1c0e5f0b4b629a533b8a4a1a7a10",
            "2c9d1c0e-5f0b-4b62-9a53-3b8a4a1a7a1g",
        ] {
            assert!(task_of(text).is_err(), "{text}");
        }
    }
}
