//! What more workers give: one TCP flow through a whole tunnel whose device and socket are in memory,
//! with one and with two workers, interleaved. Both ways it is one session and one pair of addresses.
//!
//! ```text
//! cargo bench -p tunnel --bench workers [-- ROUNDS]
//! ```

use tunnel::testing::{MemoryTunnel, Passed};

const SUPER_PACKETS: usize = 2000;

fn main() {
    // `cargo test --benches` must not measure.
    if std::env::args().len() == 1 {
        return;
    }
    let rounds = std::env::args()
        .skip(1)
        .find_map(|text| text.parse().ok())
        .unwrap_or(11);
    let tunnels = [1, 2].map(MemoryTunnel::new);
    for (name, pass) in [
        (
            "send",
            MemoryTunnel::send as fn(&MemoryTunnel, usize) -> Passed,
        ),
        ("receive", MemoryTunnel::receive),
    ] {
        let mut rates = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (tunnel, rates) in tunnels.iter().zip(&mut rates) {
                let passed = pass(tunnel, SUPER_PACKETS);
                rates.push(passed.packets as f64 / passed.time.as_secs_f64());
            }
        }
        let [one, two] = rates.map(median);
        println!(
            "{name}: {one:.0} packets/s with one worker, {two:.0} with two: {:.2} times",
            two / one
        );
    }
    tunnels.into_iter().for_each(MemoryTunnel::stop);
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
