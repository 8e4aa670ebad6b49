//! Buffers for packets that wait, kept for reuse: in steady state nothing is allocated.

const SMALLEST: usize = 256;
const CLASSES: usize = 10;
// What is kept beyond use; a burst's memory goes back to the system.
const KEPT_BYTES: usize = 64 << 20;

/// Spare buffers by size, in powers of two from 256 bytes to 128 KiB.
#[derive(Debug, Default)]
pub struct Buffers {
    spare: [Vec<Vec<u8>>; CLASSES],
    kept_bytes: usize,
}

impl Buffers {
    /// A buffer with a copy of `bytes`, at most 128 KiB.
    pub fn copy_of(&mut self, bytes: &[u8]) -> Vec<u8> {
        let class = class_of(bytes.len());
        let mut buffer = match self.spare[class].pop() {
            Some(buffer) => {
                self.kept_bytes -= buffer.capacity();
                buffer
            }
            None => Vec::with_capacity(SMALLEST << class),
        };
        buffer.extend_from_slice(bytes);
        buffer
    }

    /// Takes a buffer back.
    pub fn give_back(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity < SMALLEST || self.kept_bytes + capacity > KEPT_BYTES {
            return;
        }
        buffer.clear();
        self.kept_bytes += capacity;
        // The largest class that it can serve.
        let class = ((capacity / SMALLEST).ilog2() as usize).min(CLASSES - 1);
        self.spare[class].push(buffer);
    }
}

fn class_of(length: usize) -> usize {
    let class = length
        .div_ceil(SMALLEST)
        .next_power_of_two()
        .trailing_zeros() as usize;
    assert!(class < CLASSES, "packets are shorter than 64 KiB");
    class
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_returned_buffer_is_used_again() {
        let mut buffers = Buffers::default();
        for length in [1, 256, 257, 1500, 65_535] {
            let buffer = buffers.copy_of(&vec![7; length]);
            assert!(buffer.capacity() < 2 * length.max(SMALLEST / 2) + 1);
            let place = buffer.as_ptr();
            buffers.give_back(buffer);
            let again = buffers.copy_of(&vec![8; length]);
            assert_eq!((again.as_ptr(), again.len()), (place, length));
            assert!(again.iter().all(|byte| *byte == 8));
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut buffers = Buffers::default();
        let many: Vec<_> = (0..2000).map(|_| buffers.copy_of(&[0; 60_000])).collect();
        many.into_iter()
            .for_each(|buffer| buffers.give_back(buffer));
        assert!(buffers.kept_bytes <= KEPT_BYTES);
        assert!(buffers.spare[8].len() > 900);
    }
}
