//! The members of a fitted TabM: what each says alone, and the same model with some of them.
//!
//! After training, the average of a few members is better than a model trained with as few (Gorishniy et al. 2025), so that
//! speed can be chosen when a model is served.

use super::attribution::Head;
use super::{Architecture, Categories, NetworkModel, in_blocks, tabm};
use statera_core::{Error, Frame, Result, Rng};

impl NetworkModel {
    /// Members whose predictions are averaged; 1 for most networks.
    pub fn n_members(&self) -> usize {
        self.network.n_members
    }

    /// The outputs of every member for rows of a frame: n × members × outputs.
    ///
    /// # Errors
    /// A frame with other columns than those of the fit.
    pub fn member_outputs(&self, frame: &Frame) -> Result<Vec<f32>> {
        in_blocks(frame.n_rows, |rows| Ok(self.network.score(&self.header.input.apply(frame, rows)?)))
    }

    /// The margins, n × outputs, of the average of some members, given [`NetworkModel::member_outputs`].
    ///
    /// # Panics
    /// If a member does not exist, or none is chosen.
    pub fn margins_of(&self, outputs: &[f32], chosen: &[usize]) -> Vec<f64> {
        assert!(!chosen.is_empty(), "an average has at least one member");
        let n_outputs = self.header.task.n_outputs();
        let mut kept = Vec::with_capacity(outputs.len() / self.n_members() * chosen.len());
        for row in outputs.chunks_exact(self.n_members() * n_outputs) {
            chosen.iter().for_each(|&m| kept.extend_from_slice(&row[m * n_outputs..][..n_outputs]));
        }
        super::Average { n_members: chosen.len(), ..self.average() }.margins(&kept)
    }

    /// The same model with some of its members, in their order.
    ///
    /// # Errors
    /// A network without members, or members that do not ascend or do not exist.
    pub fn with_members(&self, chosen: &[usize]) -> Result<NetworkModel> {
        let Architecture::Tabm(shape) = &self.header.architecture else {
            return Err(Error::request("this network has no members to choose from; allowed: tabm and tabm_mini"));
        };
        let (k, n_kept) = (shape.k, chosen.len());
        if chosen.is_empty() || !chosen.is_sorted_by(|a, b| a < b) || chosen[n_kept - 1] >= k {
            return Err(Error::request(format!("members {chosen:?}; allowed: ascending numbers from 0 to {}", k - 1)));
        }
        let mut header = self.header.clone();
        header.architecture = Architecture::Tabm(tabm::Shape { k: n_kept, ..shape.clone() });
        let n_outputs = header.task.n_outputs();
        let mut network = header.architecture.build(
            &header.input,
            n_outputs,
            &self.edges,
            Categories::Codes,
            None,
            &mut Rng::new(0),
        )?;
        for (from, to) in self.network.params.slots.iter().zip(network.params.slots.clone()) {
            let values = &self.network.params.values[from.range.clone()];
            // What the members share has the same shape for every number of members.
            let kept = if from.shape == to.shape {
                values.to_vec()
            } else {
                let own = values.len() / k;
                chosen.iter().flat_map(|&m| &values[m * own..][..own]).copied().collect()
            };
            network.params.set(&to.name, &kept)?;
        }
        // The ranges of margins are of all members; those of a few differ little.
        NetworkModel::new(header, network, self.edges.clone(), self.baseline.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mlp::tests::frame;
    use crate::model::{MlpParams, TabmParams};
    use statera_core::{Estimator, Model, Run, Task};

    fn fitted(task: Task, mini: bool, bins: Option<usize>) -> (NetworkModel, Frame) {
        let mut params =
            if mini { TabmParams::mini(task) } else { TabmParams { task, ..TabmParams::default() } }.quick();
        // As many members as a layer is wide: shapes alone do not tell the two apart.
        (params.shape.k, params.shape.width, params.shape.bins) = (8, 8, bins);
        params.train.epochs = 2;
        let train = frame(task, 400, 1);
        let model = params.fit(&train, &Frame::default(), &Run::new(1, 2)).expect("it fits");
        (NetworkModel::load(&model.save()).expect("loads"), train)
    }

    #[test]
    fn a_model_of_some_members_is_their_average() {
        let cases = [(false, Some(8)), (false, None), (true, Some(8)), (true, None)];
        for task in [Task::Binary, Task::Classes(3), Task::Regression] {
            for (mini, bins) in cases {
                let (model, rows) = fitted(task, mini, bins);
                let outputs = model.member_outputs(&rows).expect("own columns");
                for chosen in [vec![0, 1, 2, 3, 4, 5, 6, 7], vec![1, 4, 7], vec![5]] {
                    let cut = model.with_members(&chosen).expect("they exist");
                    assert_eq!(cut.n_members(), chosen.len());
                    let margins = cut.predict(&rows).expect("own columns").margins;
                    assert_eq!(margins, model.margins_of(&outputs, &chosen), "{task:?}, {mini}, {bins:?}, {chosen:?}");
                    let again = NetworkModel::load(&cut.save()).expect("loads");
                    assert_eq!(again.predict(&rows).expect("own columns").margins, margins);
                }
                let all: Vec<usize> = (0..8).collect();
                assert_eq!(model.with_members(&all).expect("they exist").save(), model.save());
            }
        }
    }

    #[test]
    fn refuses_members_that_are_not_there() {
        let (model, rows) = fitted(Task::Binary, true, None);
        for (chosen, shown) in [(vec![], "[]"), (vec![3, 3], "[3, 3]"), (vec![2, 8], "[2, 8]")] {
            let error = model.with_members(&chosen).err().map(|e| e.to_string()).unwrap_or_default();
            assert_eq!(error, format!("members {shown}; allowed: ascending numbers from 0 to 7"));
        }
        let plain = MlpParams::quick(Task::Binary).fit(&rows, &Frame::default(), &Run::new(1, 1)).expect("it fits");
        let plain = NetworkModel::load(&plain.save()).expect("loads");
        let error = plain.with_members(&[0]).err().map(|e| e.to_string()).unwrap_or_default();
        assert_eq!(error, "this network has no members to choose from; allowed: tabm and tabm_mini");
    }
}
