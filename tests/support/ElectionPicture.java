import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.function.BiConsumer;

/**
 * The course of an election as SVG: a lane per pod, coloured by its leadership label, with a line under it while the pod holds the Lease.
 * What is done from outside is numbered and listed below. The background is transparent and all colours are of medium lightness, so that
 * the picture can be read on white as well as on black. Times are those of {@link System#nanoTime}, in ascending order.
 */
final class ElectionPicture {

    /** What a lane shows between two changes. */
    private enum Look {
        LEADER("is-leader: true", "#3fa34d", 1), FOLLOWER("is-leader: false", "#7d8590", 0.45), UNLABELLED("no label", "#7d8590", 0.15),
        ABSENT("no pod", "none", 0);

        private final String meaning;
        private final String fill;
        private final double opacity;

        Look(String meaning, String fill, double opacity) {
            this.meaning = meaning;
            this.fill = fill;
            this.opacity = opacity;
        }
    }

    private record Change<T>(long at, T to) {}

    private static final int WIDTH = 860;
    private static final int LEFT = 70;
    private static final int RIGHT = 840;
    private static final int TOP = 56;
    private static final int LANE = 40;
    private static final int BAR = 20;
    private static final int ROW = 18;
    private static final int MARK = 9;
    private static final String TEXT = "#7d8590";
    private static final String HOLDER = "#2f81f7";

    private final List<String> pods;
    private final Map<String, List<Change<Look>>> looks = new LinkedHashMap<>();
    private final List<Change<String>> holders = new ArrayList<>();
    private final List<Change<String>> remarks = new ArrayList<>();

    /** A picture with these lanes, on which nothing has happened yet. */
    ElectionPicture(List<String> pods) {
        this.pods = pods;
        pods.forEach(pod -> looks.put(pod, new ArrayList<>(List.of(new Change<>(Long.MIN_VALUE, Look.ABSENT)))));
        holders.add(new Change<>(Long.MIN_VALUE, ""));
    }

    /**
     * From now on these are the values of the leadership label by pod, without an entry where there is no pod, with null where there is no
     * label; {@code holder} is empty if nobody holds the Lease.
     */
    void state(long at, Map<String, String> labels, String holder) {
        looks.forEach((pod, changes) -> add(changes, at, !labels.containsKey(pod) ? Look.ABSENT
                : labels.get(pod) == null ? Look.UNLABELLED : labels.get(pod).equals("true") ? Look.LEADER : Look.FOLLOWER));
        add(holders, at, holder);
    }

    /** Something is done from outside. */
    void remark(long at, String text) {
        remarks.add(new Change<>(at, text));
    }

    private static <T> void add(List<Change<T>> changes, long at, T to) {
        if (!Objects.equals(changes.getLast().to(), to)) {
            changes.add(new Change<>(at, to));
        }
    }

    /** The picture of what happened in this span of time, from which its axis counts. */
    String svg(long from, long to) {
        return new Drawing(from, to).draw();
    }

    /** One picture while it is drawn. */
    private final class Drawing {
        private final long from;
        private final long to;
        private final StringBuilder out = new StringBuilder();

        Drawing(long from, long to) {
            this.from = from;
            this.to = to;
        }

        String draw() {
            List<Change<String>> listed = remarks.stream().filter(remark -> remark.at() >= from && remark.at() <= to).toList();
            int axis = TOP + pods.size() * LANE;
            int rows = (listed.size() + 1) / 2;
            int height = axis + 72 + rows * ROW;
            out.append("""
                    <svg xmlns="http://www.w3.org/2000/svg" width="%1$d" height="%2$d" viewBox="0 0 %1$d %2$d" font-family="sans-serif" \
                    font-size="13" fill="%3$s">
                    <title>An election: who is labelled leader, and who holds the Lease</title>
                    """.formatted(WIDTH, height, TEXT));
            for (int i = 0; i < pods.size(); i++) {
                lane(pods.get(i), TOP + i * LANE);
            }
            axis(axis + 14);
            marks(listed, axis);
            legend(axis + 44);
            for (int i = 0; i < listed.size(); i++) {
                text(10 + i / rows * (WIDTH / 2), axis + 74 + i % rows * ROW, "start",
                        "%d   %.2f s   %s".formatted(i + 1, seconds(listed.get(i).at()), listed.get(i).to()));
            }
            return out.append("</svg>\n").toString();
        }

        private void lane(String pod, int y) {
            text(LEFT - 12, y + 15, "end", pod);
            spans(looks.get(pod), (look, span) -> {
                if (look != Look.ABSENT) {
                    bar(span[0], span[1], y, BAR, look.fill, look.opacity);
                }
            });
            spans(holders, (holder, span) -> {
                if (holder.equals(pod)) {
                    bar(span[0], span[1], y + BAR + 3, 4, HOLDER, 1);
                }
            });
        }

        /** What held from when to when, as coordinates, within the span of the picture. */
        private <T> void spans(List<Change<T>> changes, BiConsumer<T, double[]> each) {
            for (int i = 0; i < changes.size(); i++) {
                long end = i + 1 < changes.size() ? changes.get(i + 1).at() : to;
                if (end > from && changes.get(i).at() < to) {
                    each.accept(changes.get(i).to(), new double[] {x(Math.max(changes.get(i).at(), from)), x(Math.min(end, to))});
                }
            }
        }

        private void axis(int y) {
            int step = seconds(to) > 12 ? 2 : 1;
            for (int second = 0; second <= seconds(to); second += step) {
                text(x(from + second * 1_000_000_000L), y, "middle", second + " s");
            }
        }

        /** Numbers above the lanes; those that would cover each other stand side by side. */
        private void marks(List<Change<String>> listed, int bottom) {
            double next = RIGHT + 2 * MARK;
            for (int i = listed.size() - 1; i >= 0; i--) {
                double x = x(listed.get(i).at());
                next = Math.min(x, next - 2 * MARK - 2);
                out.append(format("<path d=\"M%.1f 30 L%.1f 46 V%d\" fill=\"none\" stroke=\"%s\" stroke-dasharray=\"2 3\"/>%n", next, x,
                        bottom, TEXT));
                out.append(format("<circle cx=\"%.1f\" cy=\"20\" r=\"%d\" fill=\"none\" stroke=\"%s\"/>%n", next, MARK, TEXT));
                text(next, 24, "middle", Integer.toString(i + 1));
            }
        }

        private void legend(int y) {
            int x = LEFT;
            for (Look look : List.of(Look.LEADER, Look.FOLLOWER, Look.UNLABELLED)) {
                bar(x, x + 26.0, y - 10, 12, look.fill, look.opacity);
                text(x + 34, y, "start", look.meaning);
                x += 170;
            }
            bar(x, x + 26.0, y - 6, 4, HOLDER, 1);
            text(x + 34, y, "start", "holds the Lease");
        }

        private void bar(double left, double right, int y, int height, String fill, double opacity) {
            out.append(format("<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\" fill-opacity=\"%.2f\"/>%n", left, y,
                    Math.max(right - left, 0.5), height, fill, opacity));
        }

        private void text(double x, int y, String anchor, String text) {
            out.append(format("<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\" xml:space=\"preserve\">%s</text>%n", x, y, anchor,
                    text.replace("&", "&amp;").replace("<", "&lt;")));
        }

        private static String format(String format, Object... values) {
            return String.format(Locale.ROOT, format.replace("%n", "\n"), values);
        }

        private double seconds(long at) {
            return (at - from) / 1e9;
        }

        private double x(long at) {
            return LEFT + (RIGHT - LEFT) * (double) (at - from) / Math.max(to - from, 1);
        }
    }
}
