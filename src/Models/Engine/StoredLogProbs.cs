// Log-probs of answers under a policy that stays as it is, computed once and kept in a folder: log_probs.safetensors (keys, where each
// answer's numbers begin, the numbers) and log_probs.json (what they belong to, and the file's SHA-256). An answer is known by its
// tokens, its prompt's and which of them count, so the order of rows, batches and packing play no part.

using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Models.Engine;

/// <summary>Stored log-probs, by answer.</summary>
public sealed class StoredLogProbs
{
    private const string Numbers = "log_probs.safetensors";
    private const string About = "log_probs.json";
    private const int Format = 1;

    private readonly Dictionary<UInt128, (int First, int Count)> places = [];
    private readonly List<double> values = [];
    private torch.ScalarType type = torch.float32;

    /// <summary>Answers that are stored.</summary>
    public int Count => places.Count;

    /// <summary>Answers that were asked for and are not stored.</summary>
    public long Missed { get; private set; }

    /// <summary>Computes and keeps the log-probs of answers that are not there yet.</summary>
    /// <param name="engine">Over the policy's model.</param>
    /// <param name="mode">Its adapters, without dropout.</param>
    /// <param name="groups">Groups as a method prepared them; one that names a control belongs to no fixed policy and is left out.</param>
    public void Add(LogProbEngine engine, ForwardMode mode, IReadOnlyList<CompletionGroup> groups)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        var fixedGroups = groups.Where(g => g.Control is null).ToList();
        if (fixedGroups.Count == 0) return;
        var computed = engine.LogProbs(fixedGroups, mode);
        (type, var numbers, var next) = (computed.dtype, computed.to(torch.float64).cpu().data<double>().ToArray(), 0);
        foreach (var (key, count) in Answers(fixedGroups))
        {
            if (places.TryAdd(key, (values.Count, count))) values.AddRange(numbers.AsSpan(next, count));
            next += count;
        }
    }

    /// <summary>(N) log-probs of every completion token of the groups, as the engine orders them; null where an answer is not stored.</summary>
    /// <param name="groups">The micro-batch.</param>
    /// <param name="device">Where the result is to lie.</param>
    public Tensor? Find(IReadOnlyList<CompletionGroup> groups, torch.Device device)
    {
        var (found, missing) = (new List<double>(), 0);
        foreach (var (key, count) in groups.Any(g => g.Control is not null) ? [] : Answers(groups))
        {
            if (places.TryGetValue(key, out var place)) found.AddRange(CollectionsMarshal.AsSpan(values).Slice(place.First, count));
            else missing++;
        }
        if (groups.Any(g => g.Control is not null)) missing = groups.Sum(g => g.Completions.Count);
        Missed += missing;
        return missing > 0 ? null : torch.tensor(found.ToArray(), device: device).to(type);
    }

    /// <summary>Writes both files into a folder; the caller makes it appear in one step.</summary>
    /// <param name="folder">A folder that is there.</param>
    /// <param name="owner">What the numbers belong to: reference, data, template and limits in one id.</param>
    public void Write(string folder, string owner)
    {
        using var scope = torch.NewDisposeScope();
        var sorted = places.OrderBy(p => p.Key).ToList();
        var keys = sorted.SelectMany(p => new[] { (long)(ulong)(p.Key >> 64), (long)(ulong)p.Key }).ToArray();
        var ordered = sorted.SelectMany(p => values.GetRange(p.Value.First, p.Value.Count)).ToArray();
        var path = Path.Combine(folder, Numbers);
        SafetensorsWriter.Write(path, (KeyValuePair<string, Tensor>[])
        [
            new("keys", torch.tensor(keys).view(-1, 2)), // (answers, 2) the halves of 128 bits
            new("counts", torch.tensor(sorted.Select(p => (long)p.Value.Count).ToArray())), // (answers)
            new("log_probs", torch.tensor(ordered).to(type)), // (tokens)
        ]);
        var about = new JsonObject { ["format"] = Format, ["owner"] = owner, ["answers"] = sorted.Count, ["tokens"] = ordered.Length, ["sha256"] = Hash(path) };
        File.WriteAllText(Path.Combine(folder, About), about.ToJsonString(new JsonSerializerOptions { WriteIndented = true }) + "\n");
    }

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="owner">What the numbers must belong to.</param>
    /// <exception cref="UserErrorException">The files are not there, were changed or cut, or belong to something else.</exception>
    public static StoredLogProbs Read(string folder, string owner)
    {
        var path = Path.Combine(folder, Numbers);
        try
        {
            var about = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, About)))!;
            if ((int?)about["format"] != Format) throw Unfit(folder, $"they are in format {about["format"]}, and this version reads {Format}");
            if ((string?)about["owner"] != owner) throw Unfit(folder, "they belong to another reference, other data or other limits");
            if ((string?)about["sha256"] != Hash(path)) throw Unfit(folder, $"{Numbers} was changed or cut since it was written");
            return Read(path);
        }
        catch (Exception e) when (e is IOException or JsonException or InvalidOperationException or FormatException or NullReferenceException)
        {
            throw Unfit(folder, "they cannot be read", e);
        }
    }

    private static StoredLogProbs Read(string path)
    {
        using var scope = torch.NewDisposeScope();
        using var file = SafetensorsFile.Open(path);
        var stored = new StoredLogProbs { type = file.Find("log_probs").DType };
        var (keys, counts) = (file.Tensor("keys").data<long>().ToArray(), file.Tensor("counts").data<long>().ToArray());
        stored.values.AddRange(file.Tensor("log_probs").to(torch.float64).data<double>().ToArray());
        for (int k = 0, first = 0; k < counts.Length; first += (int)counts[k++])
            stored.places.Add(new UInt128((ulong)keys[2 * k], (ulong)keys[(2 * k) + 1]), (first, (int)counts[k]));
        return stored;
    }

    private static UserErrorException Unfit(string folder, string why, Exception? cause = null) =>
        new($"The stored reference log-probs in {folder} cannot be used: {why}. Delete that job's folder ({Path.GetDirectoryName(folder)}) and run again; they are then computed anew.", cause);

    private static string Hash(string path)
    {
        using var file = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(file));
    }

    // Of every completion in order: the first 128 bits of SHA-256 over prompt, tokens and which of them count.
    private static IEnumerable<(UInt128 Key, int Count)> Answers(IReadOnlyList<CompletionGroup> groups)
    {
        foreach (var group in groups)
            foreach (var completion in group.Completions)
            {
                using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
                hash.AppendData(Encoding.ASCII.GetBytes($"{group.Prompt.Length} {completion.Tokens.Length} "));
                hash.AppendData(MemoryMarshal.AsBytes(group.Prompt.AsSpan()));
                hash.AppendData(MemoryMarshal.AsBytes(completion.Tokens.AsSpan()));
                hash.AppendData([.. completion.Weights.Select(w => (byte)(w != 0 ? 1 : 0))]);
                yield return (BinaryPrimitives.ReadUInt128BigEndian(hash.GetHashAndReset()), completion.Tokens.Length);
            }
    }
}
