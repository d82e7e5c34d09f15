// The models that readers use: each definition is loaded once, at its first request. Answers are appended in chunks to answers.jsonl in the
// job's folder, so that a job that was killed continues where it was.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Evaluation;

namespace PeftAlign.Host.Jobs;

internal sealed class ModelDesk(JobContext job) : IModels, IDisposable
{
    private readonly JobContext job = job;
    private readonly Dictionary<string, Asking> open = [];
    private ItemRecords? records;

    private ItemRecords Records => records ??= new ItemRecords(job.Folder.File("answers.jsonl"), job.Spec.Id, job.Warn);

    /// <inheritdoc/>
    public ILanguageModel Open(ModelReference model)
    {
        var key = model.Definition.ToJsonString();
        if (!open.TryGetValue(key, out var made)) open.Add(key, made = new Asking(this, model.Definition, $"model {open.Count}"));
        return made;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var model in open.Values) model.Dispose();
        records?.Dispose();
    }

    private RequestRunner Load(JsonObject definition)
    {
        var (place, _) = Policies.Place(job, definition).Under(null);
        var policy = Policies.Load(job, place);
        var model = EvalModel.Of(place.Base, policy.Model, policy.Mode, policy.Tokenizer, policy.ChatTemplate);
        return new RequestRunner(() => model, judges: null, asking: null, job.Cancellation);
    }

    private sealed class Asking(ModelDesk desk, JsonObject definition, string name) : ILanguageModel, IDisposable
    {
        private const int Chunk = 64;

        private RequestRunner? runner;
        private int asked;

        public string Name => definition["weights"] is JsonObject made ? JobSpec.Read(desk.job.Folder.Sibling((string)made["job"]!)).Label : Path.GetFileName(Path.TrimEndingDirectorySeparator((string)definition["weights"]!));

        public IReadOnlyList<EvalResponse> Answer(IReadOnlyList<EvalRequest> requests)
        {
            if (requests.OfType<EvalRequest.Judge>().Any()) throw new NotSupportedException("a question to a judge is not for a model; open the judge through IJudges");
            var answers = new List<EvalResponse>();
            foreach (var chunk in requests.Chunk(Chunk))
            {
                desk.Cancel();
                answers.AddRange(Answered([.. chunk.Select(request => Next(request))]));
                desk.Say(answers.Count, requests.Count);
            }
            return answers;
        }

        private Asked Next(EvalRequest request) => new(new EvalItem($"{asked}", []), asked++, [request]);

        private IEnumerable<EvalResponse> Answered(List<Asked> items)
        {
            var keys = items.Select(item => RequestJson.Key(item.Requests, addSpecialTokens: null)).ToList();
            var known = items.Select((item, k) => desk.Records.Find(name, item.Item, _ => keys[k], window: null)).ToList();
            if (known.TrueForAll(k => k is not null)) return known.Select(k => k![0]);
            runner ??= desk.Load(definition);
            var said = runner.Answer([.. items.Select(runner.Encode)]);
            desk.Records.Append(name, items.Select((item, k) => (item.Item, keys[k], (string?)null, said[k])));
            return said.Select(s => s[0]);
        }

        public void Dispose() => runner?.Dispose();
    }

    private void Cancel() => job.Cancellation.ThrowIfCancellationRequested();

    private void Say(int done, int total) => job.Progress(done, total, "answers");
}
