import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * One difference between a schedule and the undisturbed course of a {@link Script}.
 *
 * @param point the ordinal of the {@link Message} that it concerns, in the order in which the schedule's messages are sent
 * @param kind what happens to the message, or to the process that sends or receives it
 * @param past for {@link Kind#HELD}: past so many steps of its receiver it arrives; 0 otherwise
 */
record Deviation(int point, Kind kind, int past) {

    /** A message on its way. A schedule's points are its messages. */
    enum Message {
        REQUEST(Kind.LATE, Kind.LOST, Kind.RESET, Kind.CRASH, Kind.SIGTERM),
        REPLY(Kind.LATE, Kind.LOST, Kind.CRASH, Kind.SIGTERM),
        /** The list with which a watch begins. One that is lost is noticed and asked for again, other than an event. */
        LIST(Kind.LATE, Kind.BROKEN, Kind.CRASH, Kind.SIGTERM),
        /** Of a watch. */
        EVENT(Kind.LATE, Kind.BROKEN, Kind.SILENT, Kind.CRASH, Kind.SIGTERM),
        /** Of a watch, behind another one that is held. */
        QUEUED_EVENT(Kind.BROKEN, Kind.SILENT, Kind.CRASH, Kind.SIGTERM);

        /** All that can happen to it, {@link Kind#HELD} aside. */
        final List<Kind> kinds;

        Message(Kind... kinds) {
            this.kinds = List.of(kinds);
        }

        boolean canBeHeld() {
            return this != QUEUED_EVENT;
        }
    }

    /** What happens. */
    enum Kind {
        /**
         * It is overtaken by {@code past} steps: a request by requests that the API server executes and by what others do to its objects, a
         * reply or a watch's event by events that the process handles. Nothing overtakes an event of the same watch.
         */
        HELD(Fault.SLOW),
        /** It arrives as late as it can: a request after its time-out and the end of the phase, a reply just before its time-out. */
        LATE(Fault.LATE),
        /** It never arrives; the process learns so by the time-out. */
        LOST(Fault.LOST_REPLY),
        /** The process is told at once that the connection was reset. The request is executed after the end of the phase all the same. */
        RESET(Fault.LATE),
        /** The connection of the watch ends: what is on its way is lost, and a list follows after a pause. */
        BROKEN(Fault.WATCH_BROKEN),
        /** Nothing arrives any more, and the process is not told. */
        SILENT(Fault.WATCH_SILENT),
        /** The process of the message is killed when it is sent. A container runs again later. */
        CRASH(Fault.CRASH),
        /** The process of the message gets SIGTERM when it is sent. A container runs again after it has ended. */
        SIGTERM(Fault.SIGTERM);

        /** What the invariants take it for. */
        final Fault fault;

        Kind(Fault fault) {
            this.fault = fault;
        }
    }

    static Deviation of(int point, Kind kind) {
        return new Deviation(point, kind, 0);
    }

    static Deviation held(int point, int past) {
        return new Deviation(point, Kind.HELD, past);
    }

    /** Reads what {@link #toString} prints, separated by spaces. */
    static List<Deviation> parse(String text) {
        return Stream.of(text.strip().split(" +")).filter(each -> !each.isEmpty()).map(each -> {
            String[] parts = each.split(":");
            return new Deviation(Integer.parseInt(parts[0]), Kind.valueOf(parts[1]), parts.length > 2 ? Integer.parseInt(parts[2]) : 0);
        }).toList();
    }

    static String show(List<Deviation> deviations) {
        return deviations.stream().map(Deviation::toString).collect(Collectors.joining(" "));
    }

    /** Such as {@code 12:CRASH} or {@code 12:HELD:3}. */
    @Override
    public String toString() {
        return point + ":" + kind + (kind == Kind.HELD ? ":" + past : "");
    }
}
