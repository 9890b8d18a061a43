(defchor größer? [Käufer the-seller] (-> Käufer the-seller) [maß]
  (let [print (Käufer->the-seller maß)
        print (the-seller (+ print 1))
        t (the-seller [print])
        cast (the-seller t)]
    (the-seller (get cast 0))))

(defchor clash [A B] (-> A B B) [yield None?]
  (B (+ (A->B yield) None?)))
