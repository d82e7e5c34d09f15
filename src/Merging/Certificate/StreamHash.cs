// SHA-256 of files of gigabytes, which an interrupt ends between two blocks.

using System.Security.Cryptography;

namespace PeftAlign.Merging;

internal static class StreamHash
{
    private const int Block = 1 << 20;

    /// <summary>SHA-256 of a stream's bytes from where it stands to its end, in lower-case hexadecimal.</summary>
    /// <param name="stream">What is read.</param>
    /// <param name="cancel">Ends the reading between two blocks.</param>
    /// <exception cref="OperationCanceledException">It was ended.</exception>
    internal static string Sha256(Stream stream, CancellationToken cancel)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var block = new byte[Block];
        for (int read; (read = stream.ReadAtLeast(block, Block, throwOnEndOfStream: false)) > 0;)
        {
            cancel.ThrowIfCancellationRequested();
            hash.AppendData(block, 0, read);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
