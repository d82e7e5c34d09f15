// The kits' assertions.

using PeftAlign.Abstractions;

namespace PeftAlign.Testing;

internal static class Expect
{
    /// <summary>Throws with the message if the condition does not hold.</summary>
    public static void That(bool condition, string message)
    {
        if (!condition) throw new ConformanceException(message);
    }

    /// <summary>The user error that an action must end with.</summary>
    /// <param name="action">What to do.</param>
    /// <param name="when">"a row is broken", for messages.</param>
    public static UserErrorException UserError(Action action, string when)
    {
        try
        {
            action();
        }
        catch (UserErrorException e)
        {
            return e;
        }
        catch (Exception e)
        {
            throw new ConformanceException($"When {when}, a UserErrorException says so in one sentence; thrown was {e.GetType().Name}: {e.Message}", e);
        }
        throw new ConformanceException($"When {when}, a UserErrorException must be thrown; nothing was.");
    }
}
