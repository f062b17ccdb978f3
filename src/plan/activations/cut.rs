//! Which of two labels each of some items gets, so that the sum of what that costs is the least: a minimum cut.
//!
//! Between a source that stands for one label and a sink that stands for the other, an item is on the side whose
//! label it gets; what an edge from the source's side to the other can carry is what it costs to cut it. (Picard
//! and Ratliff, "Minimum cuts and related problems", Networks 5, 1975.)

use petgraph::{
    Direction,
    algo::dinics,
    graph::{DiGraph, NodeIndex},
    visit::EdgeRef,
};

/// An item that is labelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item(NodeIndex);

/// Items and what labels cost. Costs are nanoseconds and more than zero; they are compared to a thousandth.
pub(super) struct Cut {
    graph: DiGraph<(), u64>,
    source: NodeIndex,
    sink: NodeIndex,
}

/// What no cut can be worth.
const NEVER: u64 = 1 << 56;

impl Cut {
    pub fn new() -> Self {
        let mut graph = DiGraph::new();
        let (source, sink) = (graph.add_node(()), graph.add_node(()));
        Self { graph, source, sink }
    }

    /// An item that is always labelled as the source.
    pub fn chosen(&self) -> Item {
        Item(self.source)
    }

    /// An item that never is.
    pub fn rejected(&self) -> Item {
        Item(self.sink)
    }

    /// An item, with what it costs to choose it and what not to.
    pub fn add(&mut self, chosen: f64, rejected: f64) -> Item {
        let item = Item(self.graph.add_node(()));
        self.separate(self.chosen(), item, rejected);
        self.separate(item, self.rejected(), chosen);
        item
    }

    /// Has it cost something to choose one item and not the other.
    pub fn separate(&mut self, chosen: Item, rejected: Item, cost: f64) {
        let thousandths = (cost.max(0.0) * 1e3) as u64;
        if thousandths > 0 && chosen != rejected {
            self.graph.add_edge(chosen.0, rejected.0, thousandths.min(NEVER));
        }
    }

    /// Has one item be chosen only with the other.
    pub fn require(&mut self, chosen: Item, also: Item) {
        self.graph.add_edge(chosen.0, also.0, NEVER);
    }

    /// Which items are chosen at the least cost; of several such labellings the one that chooses fewest.
    pub fn solve(self) -> impl Fn(Item) -> bool {
        let (_, flows) = dinics(&self.graph, self.source, self.sink);
        let mut reached = vec![false; self.graph.node_count()];
        reached[self.source.index()] = true;
        let mut waiting = vec![self.source];
        while let Some(node) = waiting.pop() {
            let ahead = self.graph.edges_directed(node, Direction::Outgoing);
            let ahead = ahead.filter(|edge| flows[edge.id().index()] < *edge.weight()).map(|edge| edge.target());
            let back = self.graph.edges_directed(node, Direction::Incoming);
            let back = back.filter(|edge| flows[edge.id().index()] > 0).map(|edge| edge.source());
            for next in ahead.chain(back).collect::<Vec<_>>() {
                if !std::mem::replace(&mut reached[next.index()], true) {
                    waiting.push(next);
                }
            }
        }
        move |item| reached[item.0.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::Cut;

    /// All labellings of a chain in which each item costs what is given as chosen and as rejected, and a change of
    /// labels along the chain costs 3 one way and 2 the other.
    fn least(costs: &[(f64, f64)]) -> f64 {
        let price = |labels: usize| {
            let is = |index: usize| labels >> index & 1 == 1;
            let own: f64 = costs.iter().enumerate().map(|(index, it)| if is(index) { it.0 } else { it.1 }).sum();
            let between: f64 = (1..costs.len())
                .map(|index| match (is(index - 1), is(index)) {
                    (true, false) => 3.0,
                    (false, true) => 2.0,
                    _ => 0.0,
                })
                .sum();
            own + between
        };
        (0..1 << costs.len()).map(price).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn no_labelling_of_a_chain_costs_less() {
        for seed in 0..200u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut random = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state % 8) as f64
            };
            let costs: Vec<(f64, f64)> = (0..8).map(|_| (random(), random())).collect();
            let mut cut = Cut::new();
            let items: Vec<_> = costs.iter().map(|&(chosen, rejected)| cut.add(chosen, rejected)).collect();
            for pair in items.windows(2) {
                cut.separate(pair[0], pair[1], 3.0);
                cut.separate(pair[1], pair[0], 2.0);
            }
            let is_chosen = cut.solve();
            let labels: Vec<bool> = items.iter().map(|&item| is_chosen(item)).collect();
            let own: f64 = labels.iter().zip(&costs).map(|(&label, it)| if label { it.0 } else { it.1 }).sum();
            let between: f64 = labels
                .windows(2)
                .map(|pair| match (pair[0], pair[1]) {
                    (true, false) => 3.0,
                    (false, true) => 2.0,
                    _ => 0.0,
                })
                .sum();
            assert_eq!(own + between, least(&costs), "{costs:?}");
        }
    }

    #[test]
    fn what_requires_the_impossible_is_not_chosen() {
        let mut cut = Cut::new();
        let item = cut.add(0.0, 1e6);
        let rejected = cut.rejected();
        cut.require(item, rejected);
        assert!(!cut.solve()(item));
    }
}
