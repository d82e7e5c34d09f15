// Which kernels a process computes products with, and that all of them give the same bits.

using PeftAlign.Torch.Tests.Children;

namespace PeftAlign.Torch.Tests;

public sealed class ProductChoiceTests
{
    // In processes of their own, since a process chooses once.
    [Test]
    public void Both_widths_of_vectors_give_the_same_bits_and_libtorch_is_near()
    {
        static ChildResult Under(string variable, string? value) => Child.Run(["products"], new() { ["PEFTALIGN_PRODUCTS"] = null, ["PEFTALIGN_INSTRUCTIONS"] = null, [variable] = value });
        static (string Kernels, string Bits, double Sum) Told(string variable, string? value)
        {
            var child = Under(variable, value);
            Assert.That(child.ExitCode, Is.Zero, child.Errors);
            var parts = System.Text.RegularExpressions.Regex.Match(child.LastLine, "^kernels=(.+) bits=([0-9A-F]{16}) sum=([0-9.]+)$").Groups;
            return (parts[1].Value, parts[2].Value, double.Parse(parts[3].Value));
        }
        static void AssertRefused(string variable, string value, string known)
        {
            var child = Under(variable, value);
            Assert.That(child.ExitCode, Is.Not.Zero);
            Assert.That(child.Errors + child.Output, Does.Contain($"{variable} is '{value}'").And.Contain(known));
        }
        var own = Told("PEFTALIGN_PRODUCTS", null);
        Assert.That(own.Kernels, Is.EqualTo(InstructionSets.Here.Last() is "baseline" ? "libtorch" : InstructionSets.Here.Last().Split('_')[0]));
        foreach (var variable in (string[])["PEFTALIGN_PRODUCTS", "PEFTALIGN_INSTRUCTIONS"])
            foreach (var set in InstructionSets.Here.Skip(1).SkipLast(1))
                Assert.That(Told(variable, set), Is.EqualTo(own with { Kernels = set }), variable);
        foreach (var (variable, value) in ((string, string)[])[("PEFTALIGN_PRODUCTS", "libtorch"), ("PEFTALIGN_INSTRUCTIONS", "baseline")])
        {
            var other = Told(variable, value);
            Assert.That(other.Kernels, Is.EqualTo("libtorch"));
            Assert.That(other.Sum, Is.EqualTo(own.Sum).Within(1e-6).Percent);
        }
        AssertRefused("PEFTALIGN_PRODUCTS", "avx9", "libtorch");
        AssertRefused("PEFTALIGN_INSTRUCTIONS", "avx9", "baseline on this processor");
    }
}
