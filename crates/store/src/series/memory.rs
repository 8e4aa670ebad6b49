//! The model of a series store: two maps under a lock.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use model::monitor::{Counts, Minute};
use model::{GatewayId, UnixMillis};

use super::{
    Batch, MIN_BYTES, Points, Reading, SeriesKey, SeriesOptions, SeriesSize, SeriesStore, Standing,
    is_next,
};
use crate::error::BackendError;

/// What a point is reckoned at; about what it takes in the file.
const POINT_BYTES: u64 = 64;

/// A series store in memory.
#[derive(Debug)]
pub struct MemorySeries {
    options: SeriesOptions,
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    batches: u64,
    points: BTreeMap<(SeriesKey, Minute), Counts>,
    readings: BTreeMap<SeriesKey, Reading>,
    heard: BTreeMap<GatewayId, UnixMillis>,
}

impl MemorySeries {
    /// An empty store.
    pub fn new(options: SeriesOptions) -> MemorySeries {
        MemorySeries {
            options: SeriesOptions {
                max_bytes: options.max_bytes.max(MIN_BYTES),
                ..options
            },
            content: Mutex::default(),
        }
    }

    // Every change is complete before anything can panic.
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn bytes(&self) -> u64 {
        self.points.len() as u64 * POINT_BYTES
    }

    fn trim(&mut self, max_bytes: u64) {
        while self.bytes() > max_bytes {
            let minutes = self.points.keys().map(|(_, minute)| *minute);
            let (Some(oldest), Some(newest)) = (minutes.clone().min(), minutes.max()) else {
                return;
            };
            if oldest == newest {
                return;
            }
            self.points.retain(|(_, minute), _| *minute > oldest);
        }
    }
}

#[async_trait]
impl SeriesStore for MemorySeries {
    async fn standing(&self) -> Result<Standing, BackendError> {
        let content = self.lock();
        let mut readings = content.readings.clone();
        for reading in readings.values_mut() {
            let heard = content.heard.get(&reading.gateway).copied();
            reading.at = reading.at.max(heard.unwrap_or(reading.at));
        }
        Ok(Standing {
            batches: content.batches,
            made_at: self.options.now,
            readings,
        })
    }

    async fn append(&self, batch: Arc<Batch>) -> Result<(), BackendError> {
        let mut content = self.lock();
        if !is_next(content.batches, batch.number)? {
            return Ok(());
        }
        for (key, counts) in &batch.points {
            *content.points.entry(*key).or_default() += *counts;
        }
        content.readings.extend(&batch.readings);
        content.heard.extend(&batch.heard);
        for key in &batch.forgotten {
            content.readings.remove(key);
        }
        content.batches = batch.number;
        content.trim(self.options.max_bytes);
        Ok(())
    }

    async fn points(
        &self,
        key: SeriesKey,
        minutes: RangeInclusive<Minute>,
    ) -> Result<Points, BackendError> {
        let content = self.lock();
        let range = (key, *minutes.start())..=(key, *minutes.end());
        let points = content.points.range(range);
        Ok(Points {
            batches: content.batches,
            points: points
                .map(|((_, minute), counts)| (*minute, *counts))
                .collect(),
        })
    }

    async fn expire(&self, before: Minute) -> Result<(), BackendError> {
        self.lock()
            .points
            .retain(|(_, minute), _| *minute >= before);
        Ok(())
    }

    fn size(&self) -> SeriesSize {
        let content = self.lock();
        SeriesSize {
            points: content.points.len() as u64,
            bytes: content.bytes(),
            max_bytes: self.options.max_bytes,
        }
    }
}
