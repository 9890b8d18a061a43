(defchor tell [Teller Hearer] (-> Teller Hearer) [x] (Teller->Hearer x))
(defchor twice [A B] (-> (-> A B) A B) [f x] (f x))
(defchor greet [A B] (-> A B) [name]
  (twice [A B] tell name))
