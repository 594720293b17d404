//! The rows of all shards in the order of the feed. Who gave which row is settled once; then each thread merges some of the columns.

use crate::recording::Recorder;

/// A column's share of the work.
type Job<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Append the rows of `parts`, each in the order of its indices, to `all`, in the order of all indices; the parts are empty afterwards.
pub fn merge(all: &mut Recorder, parts: &mut [&mut Recorder]) {
    let givers = givers(parts);
    all.reserve(givers.len());
    let threads = parts.len();
    let mut jobs = jobs(all, parts, &givers);
    if givers.len() < 1 << 12 {
        jobs.into_iter().for_each(|job| job());
        return;
    }
    std::thread::scope(|scope| {
        let share = jobs.len().div_ceil(threads);
        for _ in 1..threads {
            let own = jobs.split_off(jobs.len().saturating_sub(share));
            scope.spawn(|| own.into_iter().for_each(|job| job()));
        }
        jobs.into_iter().for_each(|job| job());
    });
}

/// For each row, in the order of all indices, which part gives it.
fn givers(parts: &[&mut Recorder]) -> Vec<u8> {
    let rows = parts.iter().map(|part| part.index.len()).sum();
    let mut givers = Vec::with_capacity(rows);
    let mut rest: Vec<_> = parts.iter().map(|part| part.index.iter().copied()).collect();
    let mut heads: Vec<u64> = rest.iter_mut().map(|part| part.next().unwrap_or(u64::MAX)).collect();
    for _ in 0..rows {
        let giver = (0..heads.len()).min_by_key(|&i| heads[i]).unwrap_or(0);
        givers.push(giver as u8);
        heads[giver] = rest[giver].next().unwrap_or(u64::MAX);
    }
    givers
}

fn jobs<'a>(all: &'a mut Recorder, parts: &'a mut [&mut Recorder], givers: &'a [u8]) -> Vec<Job<'a>> {
    let (mut jobs, signals) = (Vec::<Job<'a>>::new(), all.signals());
    let mut columns: [Vec<&'a mut Vec<u64>>; 4] = Default::default();
    let mut prices: [Vec<&'a mut Vec<i64>>; 2] = Default::default();
    let mut instruments = Vec::new();
    let mut values: [Vec<&'a mut Vec<f64>>; crate::signal::NAMES.len()] = Default::default();
    for part in parts {
        columns[0].push(&mut part.index);
        columns[1].push(&mut part.ts_ns);
        columns[2].push(&mut part.bid_qty);
        columns[3].push(&mut part.ask_qty);
        prices[0].push(&mut part.bid_price);
        prices[1].push(&mut part.ask_price);
        instruments.push(&mut part.instrument);
        values.iter_mut().zip(&mut part.values).for_each(|(column, part)| column.push(part));
    }
    let outs = [&mut all.index, &mut all.ts_ns, &mut all.bid_qty, &mut all.ask_qty];
    for (out, parts) in outs.into_iter().zip(columns) {
        jobs.push(Box::new(|| weave(out, parts, givers)));
    }
    for (out, parts) in [&mut all.bid_price, &mut all.ask_price].into_iter().zip(prices) {
        jobs.push(Box::new(|| weave(out, parts, givers)));
    }
    jobs.push(Box::new(|| weave(&mut all.instrument, instruments, givers)));
    for (out, parts) in all.values.iter_mut().zip(values).filter(|_| signals) {
        jobs.push(Box::new(|| weave(out, parts, givers)));
    }
    jobs
}

/// One column.
fn weave<T: Copy>(out: &mut Vec<T>, mut parts: Vec<&mut Vec<T>>, givers: &[u8]) {
    let mut used = vec![0; parts.len()];
    out.extend(givers.iter().map(|&giver| {
        let place = &mut used[giver as usize];
        *place += 1;
        parts[giver as usize][*place - 1]
    }));
    parts.iter_mut().for_each(|part| part.clear());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Top;
    use crate::recording::Mode;

    #[test]
    fn rows_come_in_the_order_of_the_feed() {
        for rows in [0, 7, 9_000u64] {
            let mut parts = [0, 1, 2].map(|_| Recorder::new(Mode::All, true));
            for i in 0..rows {
                let part = &mut parts[(i * i % 7 % 3) as usize];
                part.push(i, 2 * i, 0, &Top::default(), &[i as f64; 9]);
            }
            let mut all = Recorder::new(Mode::All, true);
            merge(&mut all, &mut parts.iter_mut().collect::<Vec<_>>());
            assert!(all.index.iter().copied().eq(0..rows));
            assert!(all.ts_ns.iter().copied().eq((0..rows).map(|i| 2 * i)));
            assert!(all.values[8].iter().copied().eq((0..rows).map(|i| i as f64)));
            assert!(parts.iter().all(|part| part.index.is_empty() && part.values[0].is_empty()));
        }
    }
}
