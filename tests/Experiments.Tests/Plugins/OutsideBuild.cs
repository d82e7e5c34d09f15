// Builds a third party's plugin outside the tree, by a project of its own against the built product.

using System.Diagnostics;

namespace PeftAlign.Experiments.Tests;

internal static class OutsideBuild
{
    /// <summary>Builds the one file of Fixtures/NAME in a folder of its own.</summary>
    /// <param name="place">Where that folder is made.</param>
    /// <param name="name">The fixture's and the assembly's name.</param>
    /// <returns>The built plugin's folder.</returns>
    internal static string Fixture(Peftalign place, string name)
    {
        var folder = Directory.CreateDirectory(place.File(name)).FullName;
        File.Copy(Path.Combine(TestContext.CurrentContext.TestDirectory, "Fixtures", name, "Plugin.cs"), Path.Combine(folder, "Plugin.cs"));
        return Build(folder, name);
    }

    /// <summary>Builds the sources in a folder.</summary>
    /// <param name="folder">Holds them; nothing of this tree lies above it.</param>
    /// <param name="name">The assembly's name; its id is the same in lower case.</param>
    /// <returns>The built plugin's folder.</returns>
    internal static string Build(string folder, string name)
    {
        var product = Path.GetFullPath(Path.Combine(Peftalign.Repository, ".build", "current"));
        var tool = Path.Combine(Peftalign.Repository, ".build", "artifacts", "bin", "PluginTool", "release", "PeftAlign.PluginTool.dll");
        File.WriteAllText(Path.Combine(folder, name + ".csproj"), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <TargetFramework>net10.0</TargetFramework><Nullable>enable</Nullable><ImplicitUsings>enable</ImplicitUsings>
                <EnableDynamicLoading>true</EnableDynamicLoading><GenerateRuntimeConfigurationFiles>false</GenerateRuntimeConfigurationFiles>
                <GenerateDocumentationFile>true</GenerateDocumentationFile><DebugType>embedded</DebugType>
                <PluginId>{name.ToLowerInvariant()}</PluginId><PluginToolAssembly>{tool}</PluginToolAssembly>
              </PropertyGroup>
              <ItemGroup>
                <Reference Include="{product}/PeftAlign.Abstractions.dll;{product}/PeftAlign.Algebra.dll;{product}/PeftAlign.Torch.dll;{product}/PeftAlign.Models.dll;{product}/Microsoft.Extensions.Logging.Abstractions.dll" Private="false" />
              </ItemGroup>
              <Import Project="{Path.Combine(Peftalign.Repository, "src", "PluginTool", "Sdk", "Plugin.targets")}" />
            </Project>
            """);
        // Not build, which leaves two empty folders among the temporary files each time.
        using var build = Process.Start(new ProcessStartInfo("dotnet", ["msbuild", Path.Combine(folder, name + ".csproj"), "-restore", "-p:Configuration=Release", $"-p:OutputPath={Path.Combine(folder, "built")}/", "-nologo", "-v:q"])
        { RedirectStandardOutput = true, Environment = { ["MSBUILDDISABLENODEREUSE"] = "1", ["UseSharedCompilation"] = "false" } })!;
        var said = build.StandardOutput.ReadToEnd();
        build.WaitForExit();
        Assert.That(build.ExitCode, Is.Zero, said);
        return Path.Combine(folder, "built");
    }
}
