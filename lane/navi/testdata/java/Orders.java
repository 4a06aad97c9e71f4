/** The interface that both ends of the tests know. */
public interface Orders {
    Order get(long id);

    String join(String text, int times);

    void nothing();

    Order missing(long id);

    String refuse(String why);

    String slow(long millis);

    /** How many calls of slow and refuse this server has received. */
    int received();

    class Order {
        private long id;
        private String item;

        public Order() {
        }

        public Order(long id, String item) {
            this.id = id;
            this.item = item;
        }

        public long getId() {
            return id;
        }

        public void setId(long id) {
            this.id = id;
        }

        public String getItem() {
            return item;
        }

        public void setItem(String item) {
            this.item = item;
        }

        @Override
        public String toString() {
            return id + ":" + item;
        }
    }
}
