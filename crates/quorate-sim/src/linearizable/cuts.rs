//! Places in a part's history where everything before can be folded into one state.
//!
//! Between two operations where nothing is under way, all that the past means to the future is the
//! state it left and the unknown operations that it did not use up. Only a few such configurations are
//! possible at most places. None of them can go on to an order if the history has none, so a
//! counter-example may begin in any one of them.

use super::Item;
use super::search::{Budget, find_ends};
use crate::model::Model;

/// More possible configurations than this at one place are not followed.
const MAX_CONFIGURATIONS: usize = 256;
/// A counter-example does not begin where more than these are possible.
const MAX_STARTS: usize = 4;

/// A state with the optional items that took effect before it, ascending.
type Possible<S> = Vec<(S, Vec<usize>)>;

/// A place where little is unknown about the past.
#[derive(Debug)]
pub(super) struct Cut<S> {
    /// The first required item after it.
    from: usize,
    /// What the past may have left.
    possible: Possible<S>,
}

/// One of the configurations in which a counter-example may begin.
pub(super) struct Start<'a, M: Model> {
    pub(super) state: M::State,
    /// How many items took effect before.
    pub(super) folded: usize,
    /// How many configurations are possible, this one included.
    pub(super) among: usize,
    /// What is left to be put in order.
    pub(super) rest: Vec<Item<'a, M>>,
}

impl<S: Clone> Cut<S> {
    /// Every configuration that is possible here.
    pub(super) fn starts<'s, 'a: 's, M: Model<State = S>>(
        &'s self,
        items: &'s [Item<'a, M>],
    ) -> impl Iterator<Item = Start<'a, M>> + 's {
        let before = items[..self.from].iter().filter(|item| item.required).count();
        self.possible.iter().map(move |(state, used)| {
            let is_left = |(index, item): &(usize, &Item<'a, M>)| {
                if item.required { *index >= self.from } else { used.binary_search(index).is_err() }
            };
            Start {
                state: state.clone(),
                folded: before + used.len(),
                among: self.possible.len(),
                rest: items.iter().enumerate().filter(is_left).map(|(_, item)| *item).collect(),
            }
        })
    }
}

/// All such places, in order; the first is the beginning. Items are in the order of their calls.
pub(super) fn find_cuts<M: Model>(
    model: &M,
    initial: &M::State,
    items: &[Item<'_, M>],
    budget: &mut Budget,
) -> Vec<Cut<M::State>> {
    let mut possible = vec![(initial.clone(), Vec::new())];
    let mut cuts = vec![Cut { from: 0, possible: possible.clone() }];
    let mut optional = Vec::new();
    let mut segment: Vec<usize> = Vec::new();
    let mut latest = 0;
    for (index, item) in items.iter().enumerate() {
        let Some(returned) = item.returned else {
            optional.push(index);
            continue;
        };
        if item.invoked > latest && !segment.is_empty() {
            let beyond = &items[index..];
            let segment_of = Segment { required: &segment, optional: &optional, beyond };
            let Some(after) = follow(model, items, &possible, &segment_of, budget) else {
                return cuts;
            };
            possible = after;
            if possible.len() <= MAX_STARTS {
                cuts.push(Cut { from: index, possible: possible.clone() });
            }
            segment.clear();
        }
        segment.push(index);
        latest = latest.max(returned);
    }
    cuts
}

/// A stretch between two places where nothing is under way.
struct Segment<'s, 'a, M: Model> {
    required: &'s [usize],
    /// All that was called before its end.
    optional: &'s [usize],
    /// All that was called later.
    beyond: &'s [Item<'a, M>],
}

/// The configurations after one more segment; `None` if there are too many or none at all.
fn follow<M: Model>(
    model: &M,
    items: &[Item<'_, M>],
    possible: &Possible<M::State>,
    segment: &Segment<'_, '_, M>,
    budget: &mut Budget,
) -> Option<Possible<M::State>> {
    let mut after: Possible<M::State> = Vec::new();
    for (state, used) in possible {
        let left = segment.optional.iter().filter(|index| used.binary_search(index).is_err());
        let indexes: Vec<usize> = segment.required.iter().chain(left).copied().collect();
        let chosen: Vec<Item<'_, M>> = indexes.iter().map(|index| items[*index]).collect();
        for (state, taken) in find_ends(model, state, &chosen, segment.beyond, budget)? {
            let mut used = used.clone();
            used.extend(taken.into_iter().map(|local| indexes[local]));
            used.sort_unstable();
            let within = |few: &[usize], many: &[usize]| few.iter().all(|one| many.contains(one));
            if after.iter().any(|(other, fewer)| *other == state && within(fewer, &used)) {
                continue;
            }
            after.retain(|(other, more)| *other != state || !within(&used, more));
            after.push((state, used));
        }
    }
    (!after.is_empty() && after.len() <= MAX_CONFIGURATIONS).then_some(after)
}
