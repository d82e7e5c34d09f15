// What a service was asked and what it replied, a file for each request, named by the request's hash and written in one step: the
// cache of later runs, and the record by which a judgement can be checked.

using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Judges;

internal sealed class Transcript
{
    /// <summary>Where it lies.</summary>
    internal string Folder { get; }

    internal Transcript(string folder)
    {
        Folder = folder.Length > 0 ? Path.GetFullPath(folder) : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "peftalign", "judges");
        try
        {
            Directory.CreateDirectory(Folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"The judge's transcript folder {Folder} cannot be made ({e.Message}); give another one.");
        }
    }

    /// <summary>A request's name: all that can change the reply, and no key.</summary>
    internal static string Key(string url, string body) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(url + "\n" + body)));

    /// <summary>The reply that was kept; null where there is none that can be read.</summary>
    /// <param name="key">The request's name.</param>
    /// <param name="failures">Whether a failure that stayed counts as a reply: a service that can be asked may think better of it.</param>
    internal ServiceReply? Find(string key, bool failures)
    {
        var file = Place(key);
        if (!File.Exists(file)) return null;
        try
        {
            var entry = JsonNode.Parse(File.ReadAllText(file));
            if (entry?["reply"] is JsonObject reply) return new ServiceReply(reply.DeepClone());
            return failures && entry?["failure"] is JsonValue failure ? new ServiceReply(null, failure.ToString()) : null;
        }
        catch (JsonException)
        {
            return null; // damaged: asked again and written over
        }
    }

    /// <summary>Keeps a reply, or the failure that stands for it.</summary>
    internal void Keep(string key, string url, string body, ServiceReply reply)
    {
        var entry = new JsonObject { ["time"] = DateTime.UtcNow.ToString("O"), ["url"] = url, ["request"] = JsonNode.Parse(body) };
        if (reply.Json is { } json) entry["reply"] = json.DeepClone();
        else entry["failure"] = reply.Failure;
        var partial = $"{Place(key)}.{Guid.NewGuid():N}";
        try
        {
            File.WriteAllText(partial, entry.ToJsonString() + "\n");
            File.Move(partial, Place(key), overwrite: true);
        }
        catch
        {
            File.Delete(partial); // of half a reply, on a full disk, nobody would know any more
            throw;
        }
    }

    private string Place(string key) => Path.Combine(Folder, key + ".json");
}
