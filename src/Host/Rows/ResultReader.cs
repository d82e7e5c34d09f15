// Whether anybody still reads the results: after 'peftalign generate ... | head -3' nobody does. .NET's console drops what it cannot
// write to such a pipe, and the command would compute to its end for no one.

using System.Runtime.InteropServices;

namespace PeftAlign.Host.Rows;

/// <summary>The reader of standard output is gone; the command stops without a word, as other programs do.</summary>
internal sealed class ResultReaderGoneException() : Exception("nobody reads the results any more");

internal static partial class ResultReader
{
    private const int StandardOutput = 1;
    private const short Error = 8; // POLLERR: of a pipe, that its other end is closed; never of a file

    /// <summary>Call it before a row is written: then a reader that has taken all it was promised was no reason to stop.</summary>
    public static void ThrowIfGone()
    {
        var asked = new PollDescriptor { Descriptor = StandardOutput };
        if (poll(ref asked, 1, 0) > 0 && (asked.Returned & Error) != 0) throw new ResultReaderGoneException();
    }

    private struct PollDescriptor
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }

    [LibraryImport("libc")]
    private static partial int poll(ref PollDescriptor descriptors, nuint count, int milliseconds);
}
