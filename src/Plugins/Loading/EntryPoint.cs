// What an assembly says of itself without being loaded: the class and the ApiLevel in its PeftAlignPlugin attribute, and what it
// refers to. Read from metadata (ECMA-335, II.23.3: custom attribute values).

using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using PeftAlign.Abstractions;

namespace PeftAlign.Plugins;

/// <summary>An entry assembly's attribute.</summary>
/// <param name="TypeName">Full name of the plugin class.</param>
/// <param name="ApiLevel">The level that was compiled in.</param>
internal sealed record EntryPoint(string TypeName, int ApiLevel)
{
    /// <summary>The attribute of an assembly file.</summary>
    /// <exception cref="PluginException">No .NET assembly, or no attribute.</exception>
    public static EntryPoint Read(string assembly)
    {
        try
        {
            using var stream = File.OpenRead(assembly);
            using var file = new PEReader(stream);
            // The runtime maps the file and would end the process where it reads behind the end.
            if (file.PEHeaders.SectionHeaders.Any(section => (long)section.PointerToRawData + section.SizeOfRawData > stream.Length)) throw new BadImageFormatException("it is shorter than its headers say");
            var metadata = file.GetMetadataReader();
            foreach (var handle in metadata.GetAssemblyDefinition().GetCustomAttributes())
                if (Parse(metadata, metadata.GetCustomAttribute(handle)) is { } entry)
                    return entry;
        }
        catch (Exception e) when (e is BadImageFormatException or InvalidOperationException or IOException)
        {
            throw new PluginException($"{assembly}: is no .NET assembly that can be read ({e.Message.TrimEnd('.')}). Build or install the plugin again.", e);
        }
        throw new PluginException($"{assembly}: no [assembly: PeftAlignPlugin(typeof(...))] in it, so nothing says which class registers. Add the attribute and build again.");
    }

    /// <summary>Assemblies that an assembly file refers to: simple name and version.</summary>
    public static IReadOnlyList<(string Name, Version Version)> References(string assembly)
    {
        using var stream = File.OpenRead(assembly);
        using var file = new PEReader(stream);
        var metadata = file.GetMetadataReader();
        return [.. metadata.AssemblyReferences.Select(metadata.GetAssemblyReference).Select(reference => (metadata.GetString(reference.Name), reference.Version))];
    }

    private static EntryPoint? Parse(MetadataReader metadata, CustomAttribute attribute)
    {
        if (attribute.Constructor.Kind != HandleKind.MemberReference) return null;
        var constructor = metadata.GetMemberReference((MemberReferenceHandle)attribute.Constructor);
        if (constructor.Parent.Kind != HandleKind.TypeReference) return null;
        var type = metadata.GetTypeReference((TypeReferenceHandle)constructor.Parent);
        if (metadata.GetString(type.Name) != nameof(PeftAlignPluginAttribute) || metadata.GetString(type.Namespace) != typeof(PeftAlignPluginAttribute).Namespace) return null;
        var value = metadata.GetBlobReader(attribute.Value);
        if (value.ReadUInt16() != 1) return null;
        // A type is written as its name; of one in another assembly the assembly's name follows a comma.
        var name = value.ReadSerializedString() ?? "";
        return new EntryPoint(name.Split(',')[0], value.ReadInt32());
    }
}
