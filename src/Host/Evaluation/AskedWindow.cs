// Items of a task that are cut into chunks together. What a model says of one depends, in its last digits, on what it is computed
// with; a window's name tells whether a kept answer was computed among the same items.

using System.Security.Cryptography;
using System.Text;
using PeftAlign.Abstractions;

namespace PeftAlign.Host.Evaluation;

/// <param name="Items">In the order of the task.</param>
/// <param name="Name">Of all that the model is asked in it.</param>
internal sealed record AskedWindow(IReadOnlyList<Asked> Items, string Name)
{
    /// <summary>The windows of all tasks.</summary>
    /// <param name="items">What is asked, whether its answer is known or not.</param>
    /// <param name="most">Items of a window.</param>
    /// <param name="key">What identifies requests.</param>
    internal static IReadOnlyList<AskedWindow> Of(IEnumerable<Asked> items, int most, Func<IReadOnlyList<EvalRequest>, string> key) =>
        [.. items.GroupBy(item => item.Item.Task).SelectMany(task => task.Chunk(most)).Select(window => new AskedWindow(window, NameOf(window, key)))];

    /// <summary>What a record of an item says of its window: null where only judges are asked, who see each question by itself.</summary>
    internal string? Of(Asked item) => item.AsksModel ? Name : null;

    private static string NameOf(IEnumerable<Asked> items, Func<IReadOnlyList<EvalRequest>, string> key)
    {
        var lines = items.Where(item => item.AsksModel).Select(item => $"{key(item.OfModel)} {(item.OfModel.Any(IsDrawn) ? item.Row : -1)}\n");
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Concat(lines))))[..16];
    }

    // Random numbers go by the item's number among those of all tasks.
    private static bool IsDrawn(EvalRequest request) => request is EvalRequest.Generate { Temperature: > 0 };
}
