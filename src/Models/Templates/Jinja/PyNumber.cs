// Python's numbers: whole numbers of any (bounded) size, floats, bools as 0 and 1; floor division, remainder with the
// divisor's sign, exact comparison of whole numbers and floats, decimal digits by exact arithmetic with ties to even.
using System.Globalization;
using System.Numerics;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Templates.Jinja;

internal static class PyNumber
{
    /// <summary>Decimal digits of the longest whole number that is read or printed.</summary>
    public const int MaxDigits = 4300;

    public static bool IsInteger(object? value) => value is long or bool or BigInteger;

    public static bool IsNumber(object? value) => value is long or bool or BigInteger or double;

    /// <summary>A whole number as it is kept: long where it fits.</summary>
    public static object Normal(BigInteger value) =>
        value >= long.MinValue && value <= long.MaxValue ? (object)(long)value : Bounded(value);

    public static BigInteger Bounded(BigInteger value) => value.GetBitLength() <= RenderLimits.IntegerBits
        ? value
        : throw TooBig();

    public static BigInteger Big(object? value) => value switch
    {
        long n => n,
        bool b => b ? 1 : 0,
        _ => (BigInteger)value!,
    };

    public static double Float(object? value) => value switch
    {
        double d => d,
        long n => n,
        bool b => b ? 1 : 0,
        BigInteger n => RoundedQuotient(n, BigInteger.One) is var d && double.IsFinite(d) ? d
            : throw Fault.Value("int too large to convert to float"),
        Undefined u => throw u.Fault(),
        _ => throw Fault.Type($"must be real number, not {Py.TypeName(value)}"),
    };

    /// <summary>An index or count: a whole number, cut to the range of int.</summary>
    public static int Index(object? value) => value switch
    {
        long n => (int)Math.Clamp(n, int.MinValue + 1, int.MaxValue),
        bool b => b ? 1 : 0,
        BigInteger n => n.Sign * int.MaxValue,
        _ => throw Fault.Type($"'{Py.TypeName(value)}' object cannot be interpreted as an integer"),
    };

    /// <summary>a op b for two numbers.</summary>
    public static object Compute(string op, object a, object b)
    {
        if (a is double || b is double) return Compute(op, Float(a), Float(b));
        if (op == "/") return Quotient(a, b);
        if (op == "**") return Power(a, b);
        if (a is long x && b is long y && Small(op, x, y) is object small) return small;
        Meter.Current.Step(1 + (int)(Big(a).GetBitLength() >> 6));
        (BigInteger p, BigInteger q) = (Big(a), Big(b));
        return Normal(op switch
        {
            "+" => p + q,
            "-" => p - q,
            "*" => Product(p, q),
            "//" => q.IsZero ? throw DivisionByZero("integer division or modulo by zero") : FloorDivide(p, q),
            _ => q.IsZero ? throw DivisionByZero("integer modulo by zero") : p - (FloorDivide(p, q) * q),
        });
    }

    private static object? Small(string op, long x, long y)
    {
        long result;
        switch (op)
        {
            case "+": return ((x ^ (result = unchecked(x + y))) & (y ^ result)) < 0 ? null : result;
            case "-": return ((x ^ y) & (x ^ (result = unchecked(x - y)))) < 0 ? null : result;
            case "*": return Math.BigMul(x, y, out result) == result >> 63 ? result : null;
            case "//" when y is not (0 or -1):
                result = Math.DivRem(x, y, out long rest);
                return rest != 0 && (rest < 0) != (y < 0) ? result - 1 : result;
            case "%" when y is not (0 or -1):
                result = x % y;
                return result != 0 && (result < 0) != (y < 0) ? result + y : result;
            default: return null;
        }
    }

    private static double Compute(string op, double x, double y)
    {
        if (y == 0 && op is "/" or "//" or "%")
            throw DivisionByZero(
                op == "/" ? "float division by zero" : op == "//" ? "float floor division by zero" : "float modulo");
        return op switch
        {
            "+" => x + y,
            "-" => x - y,
            "*" => x * y,
            "/" => x / y,
            "//" => FloorDivide(x, y),
            "%" => Remainder(x, y),
            _ => Power(x, y),
        };
    }

    private static double Remainder(double x, double y)
    {
        double rest = x % y;
        return rest == 0 ? Math.CopySign(0, y) : (rest < 0) != (y < 0) ? rest + y : rest;
    }

    private static double FloorDivide(double x, double y)
    {
        double quotient = (x - Remainder(x, y)) / y;
        double floor = Math.Floor(quotient);
        return quotient - floor > 0.5 ? floor + 1 : quotient == 0 ? Math.CopySign(0, x / y) : floor;
    }

    private static BigInteger FloorDivide(BigInteger p, BigInteger q)
    {
        BigInteger quotient = BigInteger.DivRem(p, q, out BigInteger rest);
        return !rest.IsZero && (rest.Sign < 0) != (q.Sign < 0) ? quotient - 1 : quotient;
    }

    private static BigInteger Product(BigInteger p, BigInteger q) =>
        p.GetBitLength() + q.GetBitLength() <= RenderLimits.IntegerBits + 2 ? p * q : throw TooBig();

    private static object Quotient(object a, object b)
    {
        if (Big(b).IsZero) throw DivisionByZero("division by zero");
        if (a is not BigInteger && b is not BigInteger && Math.Abs(Float(a)) < 1L << 53 && Math.Abs(Float(b)) < 1L << 53)
            return Float(a) / Float(b);
        double exact = RoundedQuotient(Big(a), Big(b));
        return double.IsInfinity(exact) ? throw Fault.Value("integer division result too large for a float") : exact;
    }

    /// <summary>p / q rounded once, to nearest, ties to even.</summary>
    private static double RoundedQuotient(BigInteger p, BigInteger q)
    {
        bool negative = p.Sign * q.Sign < 0;
        (p, q) = (BigInteger.Abs(p), BigInteger.Abs(q));
        if (p.IsZero) return 0;
        int shift = 63 - (int)(p.GetBitLength() - q.GetBitLength());    // a quotient of 63 or 64 bits, the lowest sticky
        if (shift > 0) p <<= shift;
        else q <<= -shift;
        BigInteger quotient = BigInteger.DivRem(p, q, out BigInteger rest);
        if (!rest.IsZero) quotient |= 1;
        double value = Math.ScaleB((double)(ulong)quotient, -shift);
        return negative ? -value : value;
    }

    private static object Power(object a, object b)
    {
        (BigInteger p, BigInteger q) = (Big(a), Big(b));
        if (q.Sign < 0)
        {
            if (p.IsZero) throw DivisionByZero("0.0 cannot be raised to a negative power");
            return Math.Pow(Float(a), Float(b));
        }

        if (p.IsZero || p.IsOne || p == BigInteger.MinusOne || q.IsZero)
            return q.IsZero ? 1L : p == BigInteger.MinusOne ? (q.IsEven ? 1L : -1L) : a is bool ? Normal(p) : a;
        if (q > RenderLimits.IntegerBits || (p.GetBitLength() - 1) * (long)q > RenderLimits.IntegerBits) throw TooBig();
        Meter.Current.Step((int)q + 1);
        return Normal(BigInteger.Pow(p, (int)q));
    }

    private static double Power(double x, double y)
    {
        if (x == 0 && y < 0) throw DivisionByZero("0.0 cannot be raised to a negative power");
        if (x < 0 && double.IsFinite(x) && double.IsFinite(y) && y != Math.Floor(y))
            throw Fault.Type("a negative number to a broken power is complex, which templates do not know");
        double result = Math.Pow(x, y);
        return double.IsInfinity(result) && double.IsFinite(x) && double.IsFinite(y)
            ? throw Fault.Value("(34, 'Numerical result out of range')")
            : result;
    }

    public static object Negate(object value) => value is double d ? -d : Normal(-Big(value));

    public static object Absolute(object value) => value is double d ? Math.Abs(d) : Normal(BigInteger.Abs(Big(value)));

    /// <summary>Order of two numbers, exact; null with NaN.</summary>
    public static int? Compare(object a, object b)
    {
        if (a is long x && b is long y) return x.CompareTo(y);
        if (a is double || b is double)
        {
            (double p, double q) = (a as double? ?? 0, b as double? ?? 0);
            if (double.IsNaN(p) || double.IsNaN(q)) return null;
            if (a is double && b is double) return p == q ? 0 : p < q ? -1 : 1;
            double only = a is double ? p : q;
            BigInteger whole = Big(a is double ? b : a);
            int order = double.IsInfinity(only) ? (only > 0 ? 1 : -1) : CompareExactly(only, whole);
            return a is double ? order : -order;
        }

        return Big(a).CompareTo(Big(b));
    }

    private static int CompareExactly(double d, BigInteger whole)
    {
        double floor = Math.Floor(d);
        int order = new BigInteger(floor).CompareTo(whole);
        return order == 0 && d > floor ? 1 : order;
    }

    /// <summary>int(value) for a finite float.</summary>
    public static object Truncate(double value) => double.IsFinite(value)
        ? Normal(new BigInteger(Math.Truncate(value)))
        : throw Fault.Value(
            double.IsNaN(value) ? "cannot convert float NaN to integer" : "cannot convert float infinity to integer");

    /// <summary>|value| as decimal digits with a fixed number of digits after the point, ties to even.</summary>
    public static string Fixed(double value, int digits)
    {
        long bits = BitConverter.DoubleToInt64Bits(value);
        int exponent = (int)(bits >> 52 & 0x7FF);
        BigInteger mantissa = bits & 0xFFFFFFFFFFFFF | (exponent == 0 ? 0 : 1L << 52);
        int power = Math.Max(exponent, 1) - 1075;
        BigInteger scaled = mantissa * BigInteger.Pow(10, digits);
        if (power >= 0) scaled <<= power;
        else scaled = RoundShift(scaled, -power);
        string text = scaled.ToString(CultureInfo.InvariantCulture).PadLeft(digits + 1, '0');
        return digits == 0 ? text : text.Insert(text.Length - digits, ".");
    }

    private static BigInteger RoundShift(BigInteger value, int shift)
    {
        BigInteger whole = value >> shift;
        BigInteger twice = (value - (whole << shift)) << 1;
        int order = twice.CompareTo(BigInteger.One << shift);
        return order > 0 || (order == 0 && !whole.IsEven) ? whole + 1 : whole;
    }

    /// <summary>round(value, digits): Python's, exact with ties to even.</summary>
    public static object Round(object value, int digits)
    {
        if (value is double d)
        {
            if (!double.IsFinite(d) || digits > 323) return d;
            if (digits < -308) return Math.CopySign(0, d);
            string text = digits >= 0 ? Fixed(d, digits)
                : RoundWhole(new BigInteger(Math.Round(d)), -digits).ToString(CultureInfo.InvariantCulture);
            return Math.CopySign(double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture), d);
        }

        return digits >= 0 ? (value is bool ? Normal(Big(value)) : value)
            : Normal(RoundWhole(Big(value), Math.Min(-digits, MaxDigits)));
    }

    private static BigInteger RoundWhole(BigInteger value, int digits)
    {
        BigInteger unit = BigInteger.Pow(10, digits);
        BigInteger floor = FloorDivide(value, unit);
        int order = ((value - (floor * unit)) * 2).CompareTo(unit);
        return (order > 0 || (order == 0 && !floor.IsEven) ? floor + 1 : floor) * unit;
    }

    private static Fault DivisionByZero(string message) => Fault.Value(message);

    private static Fault TooBig() => new(
        ChatTemplateErrorKind.Limit, $"it makes a whole number of more than {MaxDigits} digits; templates need no such numbers");
}
