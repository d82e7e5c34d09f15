// NUnit's Is, but for its upper limits: they compare as IComparable does, which puts NaN below every number, so that a result of NaN would
// pass each "at most this far from the reference". Compiled into every C# test project (Directory.Build.props), where Is means this one.

using NUnit.Framework.Constraints;

namespace PeftAlign.Tests;

internal abstract class Is : NUnit.Framework.Is
{
    /// <summary>Less than a limit, and a number.</summary>
    public static new LessThanConstraint LessThan(object expected) => Not.NaN.And.LessThan(expected);

    /// <summary>At most a limit, and a number.</summary>
    public static new LessThanOrEqualConstraint LessThanOrEqualTo(object expected) => Not.NaN.And.LessThanOrEqualTo(expected);

    /// <summary>At most a limit, and a number.</summary>
    public static new LessThanOrEqualConstraint AtMost(object expected) => Not.NaN.And.AtMost(expected);

    /// <summary>Below 0, and a number.</summary>
    public static new LessThanConstraint Negative => Not.NaN.And.Negative;
}
