// The two tiny models of the golden numbers, loaded once.

using PeftAlign.Host.Evaluation;
using PeftAlign.Models;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Text;
using PeftAlign.Torch;

namespace PeftAlign.Eval.Tests;

internal static class Models
{
    private static readonly Dictionary<string, EvalModel> Known = [];

    internal static EvalModel Stories => Of(Places.Fixture("stories260K"));

    internal static EvalModel Of(string folder)
    {
        lock (Known)
        {
            torch.set_num_threads(1);
            if (!Known.TryGetValue(folder, out var model))
                Known[folder] = model = EvalModel.Of(folder, ModelFolder.Load(folder), ForwardMode.Plain, TokenizerLoader.Load(folder), null);
            return model;
        }
    }
}
