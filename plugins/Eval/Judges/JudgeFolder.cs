// What judges that are local models read from their folder, and the device that they load its weights to.

using Microsoft.Extensions.Logging;
using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Templates;
using PeftAlign.Models.Text;
using PeftAlign.Torch;

namespace PeftAlign.Eval.Judges;

/// <param name="path">The folder.</param>
/// <param name="context">Log and device.</param>
internal sealed class JudgeFolder(string path, IPluginContext context)
{
    /// <exception cref="UserErrorException">There is none.</exception>
    internal ITokenizer Tokenizer() => ModelFolder.HasTokenizer(path) ? TokenizerLoader.Load(path) : throw new UserErrorException($"The judge {path} has no tokenizer; put tokenizer.json beside config.json.");

    /// <param name="instead">What to do where there is none.</param>
    /// <exception cref="UserErrorException">There is none.</exception>
    internal IChatTemplate Template(string instead) => ChatTemplateLoader.Load(path) ?? throw new UserErrorException($"The judge {path} has no chat template; {instead}.");

    /// <summary>The host's device; null for the loader's default.</summary>
    internal torch.Device? Device => (torch.Device?)context.GetService(typeof(torch.Device));

    /// <summary>The architectures, those of plugins included; null for the built-in ones only.</summary>
    internal ModelArchitectures? Architectures => (ModelArchitectures?)context.GetService(typeof(ModelArchitectures));

    internal void Warn(string warning) => context.Logger.LogWarning("{Warning}", warning);
}
