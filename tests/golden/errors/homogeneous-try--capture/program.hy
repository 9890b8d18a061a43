(defchor parse [A B] (-> A B A) [text default]
  (A (try (int text) (except [ValueError] default))))
