// Tests run beside each other, as many as there are cores: each works in a folder of its own with processes of its own. Marked
// otherwise: what meets a training at a certain moment (alone), and fixtures whose tests build on one another (one after the other).

[assembly: Parallelizable(ParallelScope.All)]
