//! Where it first goes wrong.

use std::collections::{HashMap, HashSet};

use super::{
    comparison::{Drop, FirstWrong, ValueComparison},
    points::Matched,
};
use crate::ir::{Model, ValueId};

/// Better than this a value does not count: one rounding to 8 bits is no loss to be looked for.
const EXACT_DB: f64 = 40.0;

/// The compared values that each is made from, without others between: indices of points, for each point.
pub(super) fn origins(matched: &Matched) -> Vec<Vec<usize>> {
    let model = &matched.float;
    let points: HashMap<ValueId, usize> =
        matched.points.iter().enumerate().map(|(index, point)| (point.float, index)).collect();
    let mut origins = vec![Vec::new(); matched.points.len()];
    for (&value, &index) in &points {
        for behind in behind(model, value, &points) {
            origins[behind].push(index);
        }
    }
    origins.iter_mut().for_each(|indices| indices.sort_unstable());
    origins
}

/// The points next behind a value.
fn behind(model: &Model, value: ValueId, points: &HashMap<ValueId, usize>) -> HashSet<usize> {
    let mut found = HashSet::new();
    let mut known = HashSet::from([value]);
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        let made = model.uses(value).into_iter().flat_map(|it| model.outputs(it.op)).flatten();
        for next in made.chain(model.given_out_as(value)) {
            if !known.insert(next) {
                continue;
            }
            match points.get(&next) {
                Some(&index) => drop(found.insert(index)),
                None => waiting.push(next),
            }
        }
    }
    found
}

/// Where signal to noise first falls below a bound, and where most of it is lost in one step.
pub(super) fn first_wrong(
    matched: &Matched,
    origins: &[Vec<usize>],
    values: &[Option<ValueComparison>],
    bound_db: f64,
) -> FirstWrong {
    let own = |index: usize| values[index].as_ref().map(|value| value.written.sqnr_db);
    // What is lost where nobody looks is no fault: of numbers that an activation function clips anyway, for instance. So
    // a value counts for no worse than what is made of it next.
    let mut behind: Vec<Option<f64>> = vec![None; values.len()];
    for (index, origins) in origins.iter().enumerate() {
        let Some(db) = own(index) else { continue };
        origins.iter().for_each(|&origin| behind[origin] = Some(behind[origin].map_or(db, |least| least.min(db))));
    }
    let figure = |index: usize| match (own(index)?, behind[index]) {
        (own, Some(behind)) if !matched.points[index].output => Some(own.max(behind)),
        (own, _) => Some(own),
    };
    let below = (0..values.len()).find(|&index| figure(index).is_some_and(|db| db < bound_db));
    let drops = (0..values.len()).filter_map(|index| {
        let before = origins[index].iter().filter_map(|&origin| figure(origin)).fold(EXACT_DB, f64::min);
        Some((index, before, figure(index)?))
    });
    let largest = drops.max_by(|one, other| (one.1 - one.2).total_cmp(&(other.1 - other.2)));
    let name = |index: usize| matched.points[index].name.clone();
    FirstWrong {
        bound_db,
        below: below.map(name),
        largest_drop: largest.filter(|(_, before, after)| before > after).map(|(index, from_db, to_db)| Drop {
            name: name(index),
            operator: matched.points[index].operator.clone(),
            from_db,
            to_db,
        }),
    }
}
