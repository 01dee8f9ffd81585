import java.util.ArrayList;
import java.util.List;

/** Measured values of one kind, in the order of the measurements. What did not come true within its limit counts as infinite. */
final class Samples {

    private final List<Double> values = new ArrayList<>();

    void add(double value) {
        values.add(value);
    }

    List<Double> values() {
        return List.copyOf(values);
    }

    int count() {
        return values.size();
    }

    /** The smallest value that at least this part of all values, above 0 and at most 1, does not exceed; NaN if there are none. */
    double quantile(double part) {
        return values.isEmpty() ? Double.NaN : sorted().get((int) Math.ceil(part * values.size()) - 1);
    }

    double median() {
        return quantile(0.5);
    }

    double max() {
        return quantile(1);
    }

    /** The values from the smallest to the largest. */
    List<Double> sorted() {
        return values.stream().sorted().toList();
    }
}
